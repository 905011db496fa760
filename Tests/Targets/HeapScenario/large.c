// Heaps of a gigabyte and more, half of each in the main arena and half in a thread's.
#include "scenario.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1024 * 1024, SMALL_MAX = 310, BURST = 160, MAIN_ARENA_EVERY = 64 };

// The main thread's ledger and the other thread's.
static struct ledger *halves[2];
static pthread_barrier_t halves_are_filled;
static atomic_bool replacing_ends;
static _Atomic uint64_t replaced;
// Usable bytes held beyond those at the start.
static int64_t surplus;

// What the other thread is to do.
struct work {
  struct dice dice;
  size_t low;
  size_t high;
  bool touches;
  bool replaces;
};

static void touch(struct ledger *ledger) {
  for (size_t index = 0; index < ledger->capacity; index++) {
    void *block = ledger->blocks[index];
    if (block != NULL) memset(block, 0x5a, malloc_usable_size(block));
  }
}

static void fill_half(size_t number, struct work *work) {
  history_fill_with_holes(halves[number], &work->dice, work->low, work->high);
  if (work->touches) touch(halves[number]);
}

// Written to, as a program does: an untouched block still has the link of the list that it was in.
static void *written_block(size_t size) {
  return memset(no_memory_check(malloc(size), "malloc"), 0x5a, size);
}

// Replaces a block by one that brings the bytes held nearer to what they were at the start.
static void replace_one(struct dice *dice) {
  // What it allocates comes from its own arena: if it freed as much of the other one, that would soon
  // be empty.
  struct ledger *ledger = halves[dice_below(dice, MAIN_ARENA_EVERY) != 0];
  void **slot = &ledger->blocks[dice_below(dice, ledger->capacity)];
  void *old = *slot;
  if (old == NULL) return;
  size_t old_size = malloc_usable_size(old);
  size_t size = 1 + dice_below(dice, old_size);
  if (surplus <= 0)
    size = old_size < SMALL_MAX ? old_size + dice_below(dice, SMALL_MAX - old_size + 1) : old_size;
  // Either order: one too many or one too few for a moment, never more.
  if (dice_below(dice, 2) == 0) {
    *slot = written_block(size);
    free(old);
  } else {
    free(old);
    *slot = written_block(size);
  }
  surplus += (int64_t)malloc_usable_size(*slot) - (int64_t)old_size;
  atomic_fetch_add_explicit(&replaced, 1, memory_order_relaxed);
}

// Bursts with rests between them: a program that works, not one that does nothing but allocate.
static void replace_until_told(struct dice *dice) {
  struct timespec rest = {0, 1000000};
  while (!atomic_load_explicit(&replacing_ends, memory_order_relaxed)) {
    for (size_t done = 0; done < BURST; done++) replace_one(dice);
    nanosleep(&rest, NULL);
  }
}

static void *other_half_body(void *argument) {
  struct work *work = argument;
  fill_half(1, work);
  pthread_barrier_wait(&halves_are_filled);
  pthread_barrier_wait(&halves_are_filled);
  if (work->replaces) {
    replace_until_told(&work->dice);
  } else {
    for (;;) pause();
  }
  return NULL;
}

// Starts the other thread, fills both halves with `live` blocks in all, and prints what they are.
static pthread_t build_halves(size_t live, struct work *work) {
  oracle_prepare();
  if (pthread_barrier_init(&halves_are_filled, NULL, 2) != 0) fail("pthread_barrier_init");
  halves[0] = history_ledger_for(live - live / 2);
  halves[1] = history_ledger_for(live / 2);
  // One after the other: only the first half's sizes come from the generator's first numbers.
  fill_half(0, work);
  pthread_t thread;
  start_thread(&thread, other_half_body, work);
  pthread_barrier_wait(&halves_are_filled);
  oracle_print(false);
  pthread_barrier_wait(&halves_are_filled);
  return thread;
}

static void report_replaced(void) { put_line("replaced", atomic_load(&replaced)); }

// gib [BLOCKS]: 1.1 GiB of small blocks, which a thread replaces in bursts; always BLOCKS, plus or
// minus one, and the bytes of the start, plus or minus two blocks.
void scenario_gib(struct arguments arguments) {
  size_t live = argument_number(arguments, 0, 6700000);
  if (live < 2) fail("gib needs a block in each half");
  static struct work work = {.low = 1, .high = SMALL_MAX, .replaces = true};
  work.dice = dice_seeded(11);
  pthread_t thread = build_halves(live, &work);
  wait_until_closed(report_replaced);
  atomic_store(&replacing_ends, true);
  pthread_join(thread, NULL);
  ledger_print(false);
  put_flush();
}

// mib-chunks [BLOCKS [touched]]: 4 GiB in blocks of 1 MiB that are not mmapped; only their headers
// are resident, or all.
void scenario_mib_chunks(struct arguments arguments) {
  size_t live = argument_number(arguments, 0, 4096);
  if (live < 2) fail("mib-chunks needs a block in each half");
  if (mallopt(M_MMAP_THRESHOLD, 32 * MIB) != 1) fail("M_MMAP_THRESHOLD");
  static struct work work = {.low = MIB, .high = MIB};
  work.touches = arguments.count > 1 && strcmp(arguments.values[1], "touched") == 0;
  work.dice = dice_seeded(12);
  build_halves(live, &work);
  wait_until_closed(NULL);
}
