// The threads that a scenario has, and the thread pointer of each, by which its own variables are found.
#include "scenario.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_THREADS = 4096, UNUSED = 0, STARTING = 1 };

struct start {
  void *(*body)(void *);
  void *argument;
  uint64_t pointer;
  // Its thread's id, or one of the above.
  _Atomic uint64_t tid;
};

static struct start starts[MOST_THREADS];

struct start *threads_begin(void *(*body)(void *), void *argument) {
  for (size_t number = 0; number < MOST_THREADS; number++) {
    uint64_t unused = UNUSED;
    struct start *start = &starts[number];
    if (!atomic_compare_exchange_strong(&start->tid, &unused, STARTING)) continue;
    start->body = body;
    start->argument = argument;
    return start;
  }
  fail("too many threads");
}

#if defined(__aarch64__)

static uint64_t thread_pointer(void) {
  uint64_t pointer;
  __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
  return pointer;
}

static void print_thread(uint64_t tid, uint64_t pointer) {
  put_text("thread ");
  put_decimal(tid);
  put_text(" ");
  put_hex(pointer);
  put_text("\n");
}

void threads_print(void) {
  print_thread((uint64_t)getpid(), thread_pointer());
  for (size_t number = 0; number < MOST_THREADS; number++) {
    uint64_t tid = atomic_load(&starts[number].tid);
    if (tid > STARTING) print_thread(tid, starts[number].pointer);
  }
}

#else

static uint64_t thread_pointer(void) { return 0; }

void threads_print(void) {}

#endif

void *threads_run(void *argument) {
  struct start *start = argument;
  start->pointer = thread_pointer();
  atomic_store(&start->tid, (uint64_t)syscall(SYS_gettid));
  void *result = start->body(start->argument);
  atomic_store(&start->tid, UNUSED);
  return result;
}
