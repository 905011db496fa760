// Threads that sleep in different system calls, and threads that come and go.
#include "scenario.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { KINDS = 5 };
static const char *const kind_names[KINDS] = {"futex", "nanosleep", "poll", "epoll", "read"};
// How often a call came back although nothing it waited for had happened.
static _Atomic uint64_t interruptions[KINDS];
static _Atomic size_t sleeping;
static int silence[2];

static void sleep_once(size_t kind, int epoll) {
  static _Atomic uint32_t word;
  char byte;
  struct epoll_event event;
  struct pollfd watched = {.fd = silence[0], .events = POLLIN};
  struct timespec hour = {3600, 0};
  switch (kind) {
  case 0:
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    break;
  case 1:
    nanosleep(&hour, NULL);
    break;
  case 2:
    poll(&watched, 1, -1);
    break;
  case 3:
    epoll_wait(epoll, &event, 1, -1);
    break;
  default:
    if (read(silence[0], &byte, 1) >= 0) fail("read from a silent pipe");
  }
}

static void *sleeper_body(void *argument) {
  size_t kind = (size_t)(uintptr_t)argument;
  int epoll = -1;
  if (kind == 3) {
    struct epoll_event event = {.events = EPOLLIN};
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, silence[0], &event) != 0) fail("epoll");
  }
  atomic_fetch_add(&sleeping, 1);
  for (;;) {
    sleep_once(kind, epoll);
    atomic_fetch_add(&interruptions[kind], 1);
  }
  return NULL;
}

static void report_interruptions(void) {
  put_text("interrupted");
  for (size_t kind = 0; kind < KINDS; kind++) {
    put_text(" ");
    put_text(kind_names[kind]);
    put_text("=");
    put_decimal(atomic_load(&interruptions[kind]));
  }
  put_text("\n");
}

// sleepers COUNT: threads blocked in futex, nanosleep, poll, epoll_wait and read, in turn; any line
// is answered with how often each of these calls was interrupted.
void scenario_sleepers(struct arguments arguments) {
  uint64_t count = argument_number(arguments, 0, 10);
  if (pipe(silence) != 0) fail("pipe");
  pthread_attr_t attributes;
  // Small stacks, so that thousands of threads fit.
  if (pthread_attr_init(&attributes) != 0 || pthread_attr_setstacksize(&attributes, 1 << 16) != 0)
    fail("pthread_attr");
  for (uint64_t number = 0; number < count; number++) {
    pthread_t thread;
    void *kind = (void *)(uintptr_t)(number % KINDS);
    if (pthread_create(&thread, &attributes, sleeper_body, kind) != 0) fail("pthread_create");
  }
  while (atomic_load(&sleeping) < count) sched_yield();
  wait_until_closed(report_interruptions);
}

static atomic_bool spawning_ends;
static _Atomic uint64_t spawned;

static void *short_lived_body(void *argument) { return argument; }

static void *spawner_body(void *argument) {
  while (!atomic_load(&spawning_ends)) {
    pthread_t thread;
    start_thread(&thread, short_lived_body, NULL);
    pthread_join(thread, NULL);
    atomic_fetch_add(&spawned, 1);
  }
  return argument;
}

static void report_spawned(void) { put_line("spawned", atomic_load(&spawned)); }

// spawner [SPAWNERS]: threads that start and join short-lived threads without pause; any line is
// answered with how many there have been.
void scenario_spawner(struct arguments arguments) {
  uint64_t count = argument_number(arguments, 0, 1);
  pthread_t threads[16];
  if (count > 16) fail("spawner takes at most 16 threads");
  for (uint64_t number = 0; number < count; number++)
    start_thread(&threads[number], spawner_body, NULL);
  while (atomic_load(&spawned) == 0) sched_yield();
  wait_until_closed(report_spawned);
  atomic_store(&spawning_ends, true);
  for (uint64_t number = 0; number < count; number++) pthread_join(threads[number], NULL);
}
