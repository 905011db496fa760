// A program that takes its terminal and ends in many ways, under a small shell that looks at the
// terminal afterwards; built together with the shim's sources.
#define _GNU_SOURCE
#include "CPtrace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static const char leave[] = "<leave>\r\n";

static int open_with_leave(int input, int output) {
  return cpt_terminal_open(input, output, leave, sizeof leave - 1);
}

static int is_same(const struct termios *one, const struct termios *other) {
  return one->c_iflag == other->c_iflag && one->c_oflag == other->c_oflag &&
         one->c_cflag == other->c_cflag && one->c_lflag == other->c_lflag &&
         memcmp(one->c_cc, other->c_cc, sizeof one->c_cc) == 0;
}

static const char *state(int fd, const struct termios *before) {
  struct termios now;
  return tcgetattr(fd, &now) == 0 && is_same(&now, before) ? "as before" : "changed";
}

static void set_no_core(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

// -- The program under the shell -----------------------------------------------------------------

__attribute__((noinline)) static int overflow(int depth) {
  volatile char room[4096];
  room[0] = (char)depth;
  return overflow(depth + 1) + room[0];
}

static void *overflow_in_thread(void *unused) {
  cpt_use_signal_stack();
  overflow(0);
  return unused;
}

static void fault(void) {
  volatile int *volatile nowhere = NULL;
  *nowhere = 1;
}

static void say_settings(void) {
  struct termios now;
  tcgetattr(0, &now);
  printf("%s%s%s%s erase %d\n", now.c_lflag & ICANON ? "lines" : "keys",
         now.c_lflag & ECHO ? " echo" : "", now.c_lflag & ISIG ? " signals" : "",
         now.c_iflag & (IXON | ICRNL) ? " translated" : "", now.c_cc[VERASE]);
}

static void obey(char command) {
  static const struct {
    char command;
    int number;
  } raised[] = {{'f', SIGFPE}, {'b', SIGBUS}, {'x', SIGTRAP}, {'i', SIGILL}};
  for (size_t i = 0; i < sizeof raised / sizeof *raised; i++)
    if (raised[i].command == command)
      raise(raised[i].number);
  pthread_t thread;
  int columns, rows;
  switch (command) {
  case 's':
    fault();
    break;
  case 'a':
    abort();
  case 'o':
    overflow(0);
    break;
  case 't':
    pthread_create(&thread, NULL, overflow_in_thread, NULL);
    pthread_join(thread, NULL);
    break;
  case 'q':
    printf("close: %d %d\n", cpt_terminal_close(), cpt_terminal_close());
    exit(0);
  case 'k':
    printf("close: %d\n", cpt_terminal_close());
    fflush(stdout);
    fault();
    break;
  case '?':
    say_settings();
    break;
  case '#':
    cpt_terminal_size(1, &columns, &rows);
    printf("%d x %d\n", columns, rows);
    break;
  default:
    printf("key %d\n", command);
  }
  fflush(stdout);
}

static void say_signals(uint32_t bits) {
  printf("signals:%s%s%s interrupted %d\n", bits & cpt_signal_resized ? " resized" : "",
         bits & cpt_signal_suspend ? " suspend" : "",
         bits & cpt_signal_interrupt ? " interrupt" : "", cpt_interrupted());
  fflush(stdout);
}

static void work(void) {
  set_no_core();
  cpt_reset_fatal_signals();
  cpt_catch_interrupts();
  int event = cpt_make_event();
  cpt_watch_signals(event);
  int result = open_with_leave(0, 1);
  printf("ready %d %d\n", getpid(), result);
  fflush(stdout);
  for (;;) {
    struct cpt_poll_entry entries[] = {{.fd = 0, .wants_readable = 1},
                                       {.fd = event, .wants_readable = 1}};
    cpt_poll(entries, 2, -1);
    if (entries[1].readable) {
      cpt_wait_event(event);
      uint32_t bits = cpt_take_signals();
      if (bits & ~(uint32_t)cpt_signal_continued)
        say_signals(bits);
      if (bits & cpt_signal_suspend) {
        int suspended = cpt_terminal_suspend();
        int stopped = cpt_stop_ourselves();
        printf("resumed %d %d %d\n", suspended, stopped, cpt_terminal_resume());
        fflush(stdout);
      }
    }
    char command;
    ssize_t count = entries[0].readable || entries[0].hung_up ? read(0, &command, 1) : -1;
    // The terminal has gone: nothing is left to test.
    if (count == 0 || (count < 0 && entries[0].hung_up))
      _exit(1);
    if (count == 1)
      obey(command);
  }
}

// A shell with one job: says how the terminal is when the job has stopped, changes it, continues the
// job, and says how the terminal is when it has ended.
static int run_shell(void) {
  signal(SIGTTOU, SIG_IGN);
  struct termios before;
  tcgetattr(0, &before);
  pid_t job = fork();
  if (job == 0) {
    // A test may end the shell alone.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    tcsetpgrp(0, getpid());
    signal(SIGTTOU, SIG_DFL);
    work();
  }
  for (;;) {
    int status;
    waitpid(job, &status, WUNTRACED);
    tcsetpgrp(0, getpgrp());
    if (WIFSTOPPED(status)) {
      printf("stopped by %d, terminal %s\n", WSTOPSIG(status), state(0, &before));
      fflush(stdout);
      before.c_cc[VERASE] = '!';
      tcsetattr(0, TCSANOW, &before);
      tcsetpgrp(0, job);
      kill(-job, SIGCONT);
      continue;
    }
    if (WIFSIGNALED(status))
      printf("ended by %d, terminal %s\n", WTERMSIG(status), state(0, &before));
    else
      printf("ended with %d, terminal %s\n", WEXITSTATUS(status), state(0, &before));
    return 0;
  }
}

// -- Without a shell -----------------------------------------------------------------------------

struct pair {
  int ours;
  int theirs;
};

static struct pair make_pair(void) {
  int ours = posix_openpt(O_RDWR | O_NOCTTY);
  grantpt(ours);
  unlockpt(ours);
  return (struct pair){ours, open(ptsname(ours), O_RDWR | O_NOCTTY)};
}

static void check_hang_up(void) {
  struct pair pair = make_pair();
  printf("open: %d\n", open_with_leave(pair.theirs, pair.theirs));
  printf("open again: %s\n", strerror(-open_with_leave(pair.theirs, pair.theirs)));
  close(pair.ours);
  struct cpt_poll_entry entry = {.fd = pair.theirs};
  int ready = cpt_poll(&entry, 1, 0);
  printf("poll: %d hung up %d\n", ready, entry.hung_up);
  printf("close: %s\n", strerror(-cpt_terminal_close()));
  printf("close again: %d\n", cpt_terminal_close());
  printf("resume: %s\n", strerror(-cpt_terminal_resume()));
}

static void check_refusals(void) {
  int columns, rows;
  int null = open("/dev/null", O_RDWR);
  printf("no terminal: %s\n", strerror(-open_with_leave(null, null)));
  printf("no size: %s\n", strerror(-cpt_terminal_size(null, &columns, &rows)));
  printf("too long: %s\n", strerror(-cpt_terminal_open(0, 1, leave, cpt_leave_limit + 1)));
  struct sigaction action;
  sigaction(SIGSEGV, NULL, &action);
  printf("fatal signals: %s\n", action.sa_handler == SIG_DFL ? "default" : "handled");
}

static void check_interrupts(void) {
  signal(SIGHUP, SIG_IGN);
  signal(SIGTSTP, SIG_IGN);
  int event = cpt_make_event();
  printf("watch: %d\n", cpt_watch_signals(event));
  raise(SIGHUP);
  raise(SIGTSTP);
  printf("ignored: %u %d %d\n", cpt_take_signals(), cpt_interrupted(), cpt_stop_ourselves());
  cpt_abort_work(1);
  printf("aborted: %d\n", cpt_interrupted() == SIGTSTP);
  cpt_abort_work(0);
  printf("taken back: %d\n", cpt_interrupted());
  cpt_abort_work(1);
  errno = 4711;
  raise(SIGTERM);
  printf("errno: %d\n", errno);
  cpt_abort_work(0);
  printf("kept: %d\n", cpt_interrupted() == SIGTERM);
  struct cpt_poll_entry entry = {.fd = event, .wants_readable = 1};
  int ready = cpt_poll(&entry, 1, 0);
  printf("event: %d %d\n", ready, entry.readable);
  uint32_t bits = cpt_take_signals();
  printf("bits: %u %u\n", bits, cpt_take_signals());
}

static void check_poll(void) {
  signal(SIGPIPE, SIG_IGN);
  int ends[2];
  if (pipe(ends) != 0)
    return;
  struct cpt_poll_entry entries[] = {{.fd = ends[1]}, {.fd = -1, .wants_readable = 1}};
  int ready = cpt_poll(entries, 2, 1000000);
  printf("reader there: %d %d\n", ready, entries[0].hung_up);
  close(ends[0]);
  ready = cpt_poll(entries, 2, -1);
  printf("reader gone: %d %d\n", ready, entries[0].hung_up);
  printf("too many: %s\n", strerror(-cpt_poll(entries, cpt_poll_limit + 1, 0)));
}

// The signal stacks of threads go with them.
static void *use_stack(void *unused) {
  return cpt_use_signal_stack() == 0 && cpt_use_signal_stack() == 0 ? unused : (void *)1;
}

static void check_stacks(void) {
  struct rlimit limit = {256 << 20, 256 << 20};
  setrlimit(RLIMIT_AS, &limit);
  int failed = 0;
  for (int i = 0; i < 5000; i++) {
    pthread_t thread;
    void *result = (void *)1;
    if (pthread_create(&thread, NULL, use_stack, NULL) == 0)
      pthread_join(thread, &result);
    failed += result != NULL;
  }
  printf("stacks failed: %d\n", failed);
}

static atomic_long written;
static int stuck_terminal;

static void *write_for_ever(void *unused) {
  char line[256];
  memset(line, '.', sizeof line);
  while (write(stuck_terminal, line, sizeof line) > 0)
    atomic_fetch_add(&written, 1);
  return unused;
}

// Ends while another thread waits for a terminal that nobody reads from.
static void check_stuck(void) {
  struct pair pair = make_pair();
  struct termios before;
  tcgetattr(pair.theirs, &before);
  int ends[2];
  if (pipe(ends) != 0)
    return;
  pid_t child = fork();
  if (child == 0) {
    set_no_core();
    stuck_terminal = pair.theirs;
    open_with_leave(pair.theirs, pair.theirs);
    pthread_t thread;
    pthread_create(&thread, NULL, write_for_ever, NULL);
    long last = -1;
    while (last != atomic_load(&written)) {
      last = atomic_load(&written);
      usleep(200000);
    }
    int64_t now = cpt_now();
    if (write(ends[1], &now, sizeof now) == sizeof now)
      fault();
  }
  int status = 0;
  waitpid(child, &status, 0);
  int64_t end = cpt_now();
  int64_t start = 0;
  if (read(ends[0], &start, sizeof start) < 0)
    return;
  printf("ended by %d, terminal %s, in time %d\n", WTERMSIG(status), state(pair.theirs, &before),
         end - start < 3000000000);
}

int main(int count, char **arguments) {
  static const struct {
    const char *name;
    void (*check)(void);
  } checks[] = {{"hang-up", check_hang_up},       {"refusals", check_refusals},
                {"interrupts", check_interrupts}, {"poll", check_poll},
                {"stacks", check_stacks},         {"stuck", check_stuck}};
  if (count < 2)
    return run_shell();
  for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
    if (strcmp(arguments[1], checks[i].name) == 0)
      checks[i].check();
  return 0;
}
