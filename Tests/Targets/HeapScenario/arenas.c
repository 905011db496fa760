// Scenarios with thread arenas.
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 4, MOST_CHURNERS = 60 };

static pthread_barrier_t arenas_are_taken;
static pthread_barrier_t histories_are_done;
static struct ledger *worker_ledgers[WORKERS];

// Blocks for ever without allocating.
static void wait_for_the_end(void) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
  pthread_mutex_lock(&mutex);
  for (;;) pthread_cond_wait(&never, &mutex);
}

static _Atomic size_t settled;

// Tells that this thread will not touch the heap again, and blocks for ever.
static void settle(void) {
  atomic_fetch_add(&settled, 1);
  wait_for_the_end();
}

static void wait_until_settled(size_t count) {
  while (atomic_load(&settled) < count) sched_yield();
}

static void *worker_body(void *argument) {
  size_t number = (size_t)(uintptr_t)argument;
  struct dice dice = dice_seeded(100 + number);
  struct ledger *ledger = worker_ledgers[number];
  ledger->blocks[0] = no_memory_check(malloc(100), "malloc");
  // Nobody ends before all have an arena of their own.
  pthread_barrier_wait(&arenas_are_taken);
  history_random(ledger, &dice, ledger->capacity * 4);
  history_populate_bins(ledger, &dice);
  pthread_barrier_wait(&histories_are_done);
  // Blocks of a neighbour's arena end in this thread's cache.
  struct ledger *neighbour = worker_ledgers[(number + 1) % WORKERS];
  for (size_t index = number; index < neighbour->capacity; index += 97) {
    if (index % WORKERS != number) continue;
    free(neighbour->blocks[index]);
    neighbour->blocks[index] = NULL;
  }
  pthread_barrier_wait(&histories_are_done);
  if (number == 0) return NULL;
  settle();
  return NULL;
}

static void build_threads(size_t blocks_each) {
  if (pthread_barrier_init(&arenas_are_taken, NULL, WORKERS) != 0 ||
      pthread_barrier_init(&histories_are_done, NULL, WORKERS) != 0)
    fail("pthread_barrier_init");
  pthread_t threads[WORKERS];
  for (size_t number = 0; number < WORKERS; number++)
    worker_ledgers[number] = ledger_open(blocks_each);
  for (size_t number = 0; number < WORKERS; number++)
    start_thread(&threads[number], worker_body, (void *)(uintptr_t)number);
  if (pthread_join(threads[0], NULL) != 0) fail("pthread_join");
  wait_until_settled(WORKERS - 1);
}

// threads: 4 threads with arenas of their own, one of them exited; its arena and blocks are kept.
void scenario_threads(struct arguments arguments) {
  oracle_prepare();
  struct dice dice = dice_seeded(2);
  struct ledger *ledger = ledger_open(2000);
  history_random(ledger, &dice, 8000);
  build_threads(argument_number(arguments, 0, 10000));
  oracle_print(true);
  wait_until_closed(NULL);
}

// forked: as `threads`, but what is looked at is a child of it, which has one thread, and what the
// others have left: their arenas and their caches. The child prints `child PID` first.
void scenario_forked(struct arguments arguments) {
  oracle_prepare();
  struct dice dice = dice_seeded(2);
  struct ledger *ledger = ledger_open(2000);
  history_random(ledger, &dice, 8000);
  build_threads(argument_number(arguments, 0, 10000));
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child > 0) {
    // It ends when standard input is closed, as we would.
    while (waitpid(child, NULL, 0) < 0)
      if (errno != EINTR) fail("waitpid");
    return;
  }
  put_line("child", (uint64_t)getpid());
  oracle_print(true);
  wait_until_closed(NULL);
}

static void *two_heaps_body(void *argument) {
  struct dice dice = dice_seeded(64);
  struct ledger *large = ledger_open(1500);
  struct ledger *small = ledger_open(1500);
  for (size_t index = 0; index < large->capacity; index++) {
    large->blocks[index] = no_memory_check(malloc(20000 + dice_below(&dice, 80000)), "malloc");
    small->blocks[index] = no_memory_check(malloc(1 + dice_below(&dice, 500)), "malloc");
  }
  for (size_t index = 0; index < large->capacity; index += 5) {
    free(large->blocks[index]);
    large->blocks[index] = NULL;
  }
  history_populate_bins(small, &dice);
  settle();
  return argument;
}

static void build_two_heaps(void) {
  pthread_t thread;
  size_t before = atomic_load(&settled);
  start_thread(&thread, two_heaps_body, NULL);
  wait_until_settled(before + 1);
}

// two-heaps: a thread arena of about 90 MB, which is more than one heap can hold.
void scenario_two_heaps(struct arguments arguments) {
  (void)arguments;
  oracle_prepare();
  build_two_heaps();
  oracle_print(true);
  wait_until_closed(NULL);
}

// everything: all that the other quiescent scenarios do, in one process.
void scenario_everything(struct arguments arguments) {
  (void)arguments;
  oracle_prepare();
  struct dice dice = dice_seeded(9);
  struct ledger *ledger = ledger_open(10000);
  history_random(ledger, &dice, 40000);
  build_mmaps();
  build_foreign_sbrk(&dice);
  build_threads(5000);
  build_two_heaps();
  build_blocked_brk(&dice);
  build_trim_holes(&dice);
  history_populate_bins(ledger, &dice);
  oracle_print(true);
  wait_until_closed(NULL);
}

static struct {
  struct ledger *ledger;
  struct dice dice;
  _Atomic uint64_t replaced;
} churners[MOST_CHURNERS];
static size_t churner_count;
static size_t churn_size_limit;
static pthread_barrier_t churn_is_full;
static atomic_bool churn_ends;

static void *churn_body(void *argument) {
  size_t number = (size_t)(uintptr_t)argument;
  struct ledger *ledger = churners[number].ledger;
  struct dice *dice = &churners[number].dice;
  history_fill(ledger, dice, 1, churn_size_limit);
  pthread_barrier_wait(&churn_is_full);
  pthread_barrier_wait(&churn_is_full);
  while (!atomic_load_explicit(&churn_ends, memory_order_relaxed)) {
    void **slot = &ledger->blocks[dice_below(dice, ledger->capacity)];
    size_t size = 1 + dice_below(dice, churn_size_limit);
    void *old = *slot;
    // Either order: one too many or one too few for a moment, never more in one thread.
    if (dice_below(dice, 2) == 0) {
      *slot = no_memory_check(malloc(size), "malloc");
      free(old);
    } else {
      free(old);
      *slot = no_memory_check(malloc(size), "malloc");
    }
    atomic_fetch_add_explicit(&churners[number].replaced, 1, memory_order_relaxed);
  }
  return NULL;
}

static void churn_report(void) {
  uint64_t replaced = 0;
  for (size_t number = 0; number < churner_count; number++)
    replaced += atomic_load(&churners[number].replaced);
  put_line("replaced", replaced);
}

// churn THREADS BLOCKS [SIZE_MAX]: threads replace blocks without pause; always BLOCKS in all, plus
// or minus one a thread. The only other chunks are one thread vector for each thread.
void scenario_churn(struct arguments arguments) {
  churner_count = argument_number(arguments, 0, 4);
  size_t blocks = argument_number(arguments, 1, 80000);
  churn_size_limit = argument_number(arguments, 2, 1000);
  if (churner_count == 0 || churner_count > MOST_CHURNERS) fail("churn takes 1 to 60 threads");
  if (blocks < churner_count || churn_size_limit == 0) fail("churn needs a block for each thread");
  if (pthread_barrier_init(&churn_is_full, NULL, (unsigned)churner_count + 1) != 0)
    fail("pthread_barrier_init");
  pthread_t threads[MOST_CHURNERS];
  for (size_t number = 0; number < churner_count; number++) {
    size_t share = blocks / churner_count + (number < blocks % churner_count);
    churners[number].ledger = ledger_open(share);
    churners[number].dice = dice_seeded(1000 + number);
    start_thread(&threads[number], churn_body, (void *)(uintptr_t)number);
  }
  pthread_barrier_wait(&churn_is_full);
  ledger_print(false);
  put_line("threads", churner_count);
  pthread_barrier_wait(&churn_is_full);
  wait_until_closed(churn_report);
  atomic_store(&churn_ends, true);
  for (size_t number = 0; number < churner_count; number++) pthread_join(threads[number], NULL);
  ledger_print(false);
  put_flush();
}
