// The signals of a program that goes on for long, and waiting for them: the implementation.
#define _GNU_SOURCE
#include "CPtraceSignals.h"
#include "CPtrace.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

// -- Signals -------------------------------------------------------------------------------------

static atomic_int watching_event = -1;
static atomic_uint arrived;

static uint32_t meaning(int number) {
  switch (number) {
  case SIGWINCH:
    return cpt_signal_resized;
  case SIGCONT:
    return cpt_signal_continued;
  case SIGTSTP:
    return cpt_signal_suspend;
  default:
    return cpt_signal_interrupt;
  }
}

static void note_watched(int number) {
  int before = errno;
  uint32_t bit = meaning(number);
  if (bit == cpt_signal_interrupt && !cpt_note_interrupt(number))
    cpt_end_by(number);
  atomic_fetch_or(&arrived, bit);
  uint64_t one = 1;
  ssize_t count = write(atomic_load(&watching_event), &one, sizeof one);
  (void)count;
  errno = before;
}

int cpt_watch_signals(int event) {
  static const int watched[] = {SIGWINCH, SIGCONT, SIGTSTP, SIGINT, SIGTERM, SIGHUP};
  atomic_store(&watching_event, event);
  for (size_t i = 0; i < sizeof watched / sizeof *watched; i++) {
    uint32_t bit = meaning(watched[i]);
    struct sigaction action = {.sa_handler = note_watched,
                               .sa_flags = bit == cpt_signal_interrupt ? 0 : SA_RESTART};
    sigemptyset(&action.sa_mask);
    struct sigaction before;
    if (sigaction(watched[i], NULL, &before) < 0)
      return -errno;
    if (before.sa_handler == SIG_IGN && bit & (cpt_signal_suspend | cpt_signal_interrupt))
      continue;
    if (sigaction(watched[i], &action, NULL) < 0)
      return -errno;
  }
  return 0;
}

uint32_t cpt_take_signals(void) { return atomic_exchange(&arrived, 0); }

int cpt_stop_ourselves(void) {
  struct sigaction before;
  if (sigaction(SIGTSTP, NULL, &before) < 0)
    return -errno;
  if (before.sa_handler == SIG_IGN)
    return 0;
  sigset_t stop, mask;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  pthread_sigmask(SIG_BLOCK, &stop, &mask);
  cpt_set_default_action(SIGTSTP);
  raise(SIGTSTP);
  // Here we stop.
  pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
  int result = sigaction(SIGTSTP, &before, NULL) < 0 ? -errno : 0;
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  return result;
}

// -- Waiting -------------------------------------------------------------------------------------

int cpt_poll(struct cpt_poll_entry *entries, int count, int64_t nanoseconds) {
  struct pollfd watched[cpt_poll_limit];
  if (count < 0 || count > cpt_poll_limit)
    return -EINVAL;
  for (int i = 0; i < count; i++) {
    watched[i] = (struct pollfd){.fd = entries[i].fd,
                                 .events = entries[i].wants_readable ? POLLIN : 0};
    entries[i].readable = entries[i].hung_up = 0;
  }
  struct timespec span = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
  int ready = ppoll(watched, (nfds_t)count, nanoseconds < 0 ? NULL : &span, NULL);
  if (ready < 0)
    return errno == EINTR ? 0 : -errno;
  for (int i = 0; i < count; i++) {
    entries[i].readable = (watched[i].revents & POLLIN) != 0;
    entries[i].hung_up = (watched[i].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
  }
  return ready;
}
