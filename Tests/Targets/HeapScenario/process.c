// Scenarios about the process rather than its heap.
#include "scenario.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// unused: never calls malloc, and neither does anything that it calls.
void scenario_unused(struct arguments arguments) {
  (void)arguments;
  wait_until_closed(NULL);
}

static _Atomic uint64_t plain_signals;
static _Atomic uint64_t queued_signals;

static void count_signal(int number) {
  atomic_fetch_add(number == SIGUSR1 ? &plain_signals : &queued_signals, 1);
}

static void report_signals(void) {
  put_text("count ");
  put_decimal(atomic_load(&plain_signals));
  put_text(" ");
  put_decimal(atomic_load(&queued_signals));
  put_text("\n");
}

static void *wait_for_signals(void *argument) {
  for (;;) pause();
  return argument;
}

// signals [THREADS]: counts SIGUSR1, of which the kernel keeps one pending, and SIGRTMIN, which it
// queues; any line on standard input is answered with `count SIGUSR1S SIGRTMINS`.
void scenario_signals(struct arguments arguments) {
  struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
  if (sigaction(SIGUSR1, &action, NULL) != 0 || sigaction(SIGRTMIN, &action, NULL) != 0)
    fail("sigaction");
  uint64_t threads = argument_number(arguments, 0, 0);
  for (uint64_t number = 0; number < threads; number++) {
    pthread_t thread;
    start_thread(&thread, wait_for_signals, NULL);
  }
  wait_until_closed(report_signals);
}

// exiter MILLISECONDS: exits by itself so long after saying ready.
void scenario_exiter(struct arguments arguments) {
  uint64_t milliseconds = argument_number(arguments, 0, 100);
  announce_ready();
  struct timespec rest = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
  while (nanosleep(&rest, &rest) != 0 && errno == EINTR) continue;
}

// A child that reads `channel` until it is closed.
static _Noreturn void read_until_closed(int channel) {
  char input;
  while (read(channel, &input, 1) > 0 || errno == EINTR) errno = 0;
  _exit(0);
}

// Forks a child that ends as soon as we do, and prints `child PID`.
static pid_t start_child(bool ends_at_once) {
  int channel[2];
  if (pipe(channel) != 0) fail("pipe");
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    if (ends_at_once) _exit(0);
    close(channel[1]);
    read_until_closed(channel[0]);
  }
  close(channel[0]);
  put_line("child", (uint64_t)child);
  return child;
}

// zombie: has a child that ended and is not waited for.
void scenario_zombie(struct arguments arguments) {
  (void)arguments;
  pid_t child = start_child(true);
  // Waits for the end and leaves the zombie as it is.
  siginfo_t info;
  if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) != 0) fail("waitid");
  wait_until_closed(NULL);
}

// traced: has a child that it traces, so that nobody else can.
void scenario_traced(struct arguments arguments) {
  (void)arguments;
  pid_t child = start_child(false);
  if (ptrace(PTRACE_SEIZE, child, NULL, NULL) != 0) fail("PTRACE_SEIZE");
  wait_until_closed(NULL);
}

// vfork: stays in vfork until standard input is closed; its child reads there.
void scenario_vfork(struct arguments arguments) {
  (void)arguments;
  announce_ready();
  // The child shares our memory; it only reads from a descriptor, into its own registers and stack.
  pid_t child = vfork();
  if (child < 0) fail("vfork");
  if (child == 0) read_until_closed(STDIN_FILENO);
  if (waitpid(child, NULL, 0) != child) fail("waitpid");
}
