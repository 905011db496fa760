// Using a terminal: the implementation. What signal handlers call is async-signal-safe
// (signal-safety(7)) and never waits for long.
#define _GNU_SOURCE
#include "CPtrace.h"
#include "CPtraceSignals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

static int zero_or_errno(int value) { return value < 0 ? -errno : 0; }

// -- The terminal --------------------------------------------------------------------------------

// The terminal that is ours to give back. Only written while `is_taken` is 0, so that handlers find
// it whole.
static struct {
  int input;
  int output;
  struct termios theirs;
  size_t length;
  char leave[cpt_leave_limit];
} terminal;

// Whether the terminal is set to what we want, or may be.
static atomic_int is_taken;

// Whether there has been a cpt_terminal_open without a cpt_terminal_close.
static atomic_int is_open;

// How long a terminal may take to have room for more.
enum { patience_milliseconds = 100 };

static int set_terminal(const struct termios *settings) {
  int result;
  do
    result = tcsetattr(terminal.input, TCSANOW, settings);
  while (result < 0 && errno == EINTR);
  return zero_or_errno(result);
}

static int write_leave(void) {
  for (size_t done = 0; done < terminal.length;) {
    // A terminal that nobody reads from, or that is held by Ctrl-S, may never take it.
    struct pollfd room = {.fd = terminal.output, .events = POLLOUT};
    int ready = poll(&room, 1, patience_milliseconds);
    if (ready < 0 && errno == EINTR)
      continue;
    if (ready <= 0 || !(room.revents & POLLOUT))
      return ready < 0 ? -errno : ready == 0 ? -EAGAIN : -EIO;
    ssize_t count = write(terminal.output, terminal.leave + done, terminal.length - done);
    if (count < 0 && errno != EINTR)
      return -errno;
    if (count > 0)
      done += (size_t)count;
  }
  return 0;
}

// Gives the terminal back if it is taken. Done twice if two threads come here at once, which is
// harmless: the one that ends us must not do so before it is done.
static int give_back(void) {
  if (!atomic_load(&is_taken))
    return 0;
  int result = 0;
  // 0 where it is in another PID namespace, below where this is not our session's terminal.
  pid_t foreground = tcgetpgrp(terminal.input);
  if (foreground <= 0 || foreground == getpgrp()) {
    // tcsetattr(3): stops us if the shell takes the terminal just now, unless SIGTTOU is blocked.
    sigset_t held, before;
    sigemptyset(&held);
    sigaddset(&held, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &held, &before);
    // First what cannot wait: tcsetattr(3), TCSANOW.
    int set = set_terminal(&terminal.theirs);
    int written = write_leave();
    result = set < 0 ? set : written;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  atomic_store(&is_taken, 0);
  return result;
}

static int take(void) {
  struct termios now;
  if (tcgetattr(terminal.input, &now) < 0)
    return -errno;
  // If it has not been given back, these are perhaps our own settings.
  if (!atomic_load(&is_taken))
    terminal.theirs = now;
  struct termios ours = terminal.theirs;
  ours.c_iflag &= ~(tcflag_t)(IXON | ICRNL | INLCR | IGNCR | ISTRIP);
  ours.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
  ours.c_cc[VMIN] = 1;
  ours.c_cc[VTIME] = 0;
  atomic_store(&is_taken, 1);
  int result = set_terminal(&ours);
  if (result < 0)
    atomic_store(&is_taken, 0);
  return result;
}

// -- Ends ----------------------------------------------------------------------------------------

void cpt_set_default_action(int number) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, NULL);
}

void cpt_end_by(int number) {
  // write(2) waits for a terminal that has less room than it takes, or that another thread of ours
  // writes to. Then SIGALRM ends us.
  cpt_set_default_action(SIGALRM);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &wanted, NULL);
  alarm(1);
  give_back();
  alarm(0);
  cpt_set_default_action(number);
  sigaddset(&wanted, number);
  pthread_sigmask(SIG_UNBLOCK, &wanted, NULL);
  raise(number);
  _exit(128 + number);
}

static pthread_key_t stack_key;
static int stack_key_error;
static pthread_once_t stack_once = PTHREAD_ONCE_INIT;

// The stack of a handler, with one page below it that nothing may touch.
enum { signal_stack_size = 64 << 10 };

static void unmap_stack(void *mapping) {
  stack_t none = {.ss_flags = SS_DISABLE};
  sigaltstack(&none, NULL);
  munmap(mapping, signal_stack_size + (size_t)sysconf(_SC_PAGESIZE));
}

static void make_stack_key(void) { stack_key_error = pthread_key_create(&stack_key, unmap_stack); }

int cpt_use_signal_stack(void) {
  pthread_once(&stack_once, make_stack_key);
  if (stack_key_error != 0)
    return -stack_key_error;
  if (pthread_getspecific(stack_key) != NULL)
    return 0;
  size_t guard = (size_t)sysconf(_SC_PAGESIZE);
  char *mapping = mmap(NULL, guard + signal_stack_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (mapping == MAP_FAILED)
    return -errno;
  stack_t stack = {.ss_sp = mapping + guard, .ss_size = signal_stack_size};
  int result = mprotect(mapping, guard, PROT_NONE) < 0 || sigaltstack(&stack, NULL) < 0
                   ? -errno
                   : -pthread_setspecific(stack_key, mapping);
  if (result < 0)
    unmap_stack(mapping);
  return result;
}

// -- Taking and giving back ----------------------------------------------------------------------

int cpt_terminal_open(int input, int output, const char *leave, size_t length) {
  if (length > sizeof terminal.leave)
    return -EINVAL;
  if (atomic_load(&is_open))
    return -EBUSY;
  int result = cpt_use_signal_stack();
  if (result < 0)
    return result;
  terminal.input = input;
  terminal.output = output;
  terminal.length = length;
  if (length > 0)
    memcpy(terminal.leave, leave, length);
  struct sigaction action = {.sa_handler = cpt_end_by,
                             .sa_flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  result = cpt_set_fatal_actions(&action);
  if (result == 0)
    result = take();
  if (result < 0)
    cpt_reset_fatal_signals();
  else
    atomic_store(&is_open, 1);
  return result;
}

int cpt_terminal_close(void) {
  if (!atomic_exchange(&is_open, 0))
    return 0;
  int result = give_back();
  int reset = cpt_reset_fatal_signals();
  return reset < 0 ? reset : result;
}

int cpt_terminal_suspend(void) { return give_back(); }

int cpt_terminal_resume(void) { return atomic_load(&is_open) ? take() : -EBADF; }

int cpt_terminal_size(int fd, int *columns, int *rows) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) < 0)
    return -errno;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return 0;
}
