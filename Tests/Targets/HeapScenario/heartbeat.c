// The thread that notices when the process was stopped.
#include "scenario.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>

// A gap of more than LOST_NS is no mere lateness; what it has beyond a beat is time lost.
enum { BEAT_NS = 100000, LOST_NS = 250000 };

static bool runs;
static _Atomic uint64_t longest_gap_ns;
static _Atomic uint64_t lost_ns;
static _Atomic uint64_t beats;

// Sleeps from beat to beat: a thread that spins loses its processor to others now and then, and
// takes a whole one from them.
static void *heartbeat_body(void *argument) {
  // The kernel otherwise adds 50 microseconds to a sleep.
  if (prctl(PR_SET_TIMERSLACK, 1) != 0) fail("PR_SET_TIMERSLACK");
  struct timespec pause = {0, BEAT_NS};
  uint64_t last = now_ns();
  for (;;) {
    nanosleep(&pause, NULL);
    uint64_t now = now_ns();
    uint64_t gap = now - last;
    last = now;
    if (gap > atomic_load_explicit(&longest_gap_ns, memory_order_relaxed))
      atomic_store_explicit(&longest_gap_ns, gap, memory_order_relaxed);
    if (gap > LOST_NS) atomic_fetch_add_explicit(&lost_ns, gap - BEAT_NS, memory_order_relaxed);
    atomic_fetch_add_explicit(&beats, 1, memory_order_release);
  }
  return argument;
}

void heartbeat_start(void) {
  pthread_t thread;
  start_thread(&thread, heartbeat_body, NULL);
  // Ahead of all that is not real-time, so that a gap is a stop and not a busy processor.
  struct sched_param priority = {.sched_priority = 1};
  bool is_ahead = pthread_setschedparam(thread, SCHED_FIFO, &priority) == 0;
  put_text(is_ahead ? "heartbeat real-time\n" : "heartbeat normal\n");
  runs = true;
}

bool heartbeat_runs(void) { return runs; }

void heartbeat_reset(void) {
  atomic_store(&longest_gap_ns, 0);
  atomic_store(&lost_ns, 0);
}

void heartbeat_report(void) {
  // After a stop this thread may run before the other has seen how long it was.
  uint64_t seen = atomic_load_explicit(&beats, memory_order_acquire);
  while (atomic_load_explicit(&beats, memory_order_acquire) < seen + 2) sched_yield();
  put_line("gap_us", atomic_exchange(&longest_gap_ns, 0) / 1000);
}

void heartbeat_report_lost(void) {
  put_line("lost_us", atomic_exchange(&lost_ns, 0) / 1000);
}
