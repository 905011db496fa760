// Saying ready, waiting for the test, and the thread that notices when the process was stopped.
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool heartbeat_runs;
static _Atomic uint64_t longest_gap_ns;
static _Atomic uint64_t beats;

void fail(const char *what) {
  static const char prefix[] = "HeapScenario: failed: ";
  if (write(STDERR_FILENO, prefix, sizeof prefix - 1) < 0) _exit(71);
  if (write(STDERR_FILENO, what, strlen(what)) < 0) _exit(71);
  if (write(STDERR_FILENO, "\n", 1) < 0) _exit(71);
  _exit(70);
}

void start_thread(pthread_t *thread, void *(*body)(void *), void *argument) {
  if (pthread_create(thread, NULL, body, argument) != 0) fail("pthread_create");
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Reads the clock without pause, so that any gap is one in which the thread did not run.
static void *heartbeat_body(void *argument) {
  uint64_t last = now_ns();
  for (;;) {
    uint64_t now = now_ns();
    uint64_t gap = now - last;
    last = now;
    if (gap > atomic_load_explicit(&longest_gap_ns, memory_order_relaxed))
      atomic_store_explicit(&longest_gap_ns, gap, memory_order_relaxed);
    atomic_fetch_add_explicit(&beats, 1, memory_order_release);
  }
  return argument;
}

void heartbeat_start(void) {
  pthread_t thread;
  start_thread(&thread, heartbeat_body, NULL);
  heartbeat_runs = true;
}

// Prints the longest gap since the last report.
static void heartbeat_report(void) {
  // After a stop this thread may run before the other has seen how long it was.
  uint64_t seen = atomic_load_explicit(&beats, memory_order_acquire);
  while (atomic_load_explicit(&beats, memory_order_acquire) < seen + 2) sched_yield();
  put_line("gap_us", atomic_exchange(&longest_gap_ns, 0) / 1000);
}

void announce_ready(void) {
  put_line("ready", (uint64_t)getpid());
  put_flush();
}

void wait_until_closed(void (*on_line)(void)) {
  announce_ready();
  atomic_store(&longest_gap_ns, 0);
  for (;;) {
    char input[512];
    ssize_t count = read(STDIN_FILENO, input, sizeof input);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    for (ssize_t index = 0; index < count; index++) {
      if (input[index] != '\n') continue;
      if (on_line != NULL) on_line();
      if (heartbeat_runs) heartbeat_report();
      // Every line gets an answer, so that a test can tell that we run.
      if (on_line == NULL && !heartbeat_runs) put_text("here\n");
      put_flush();
    }
  }
  if (heartbeat_runs) heartbeat_report();
  put_flush();
}
