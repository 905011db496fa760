// Saying ready, waiting for the test, and answering its questions.
#include "scenario.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void fail(const char *what) {
  static const char prefix[] = "HeapScenario: failed: ";
  if (write(STDERR_FILENO, prefix, sizeof prefix - 1) < 0) _exit(71);
  if (write(STDERR_FILENO, what, strlen(what)) < 0) _exit(71);
  if (write(STDERR_FILENO, "\n", 1) < 0) _exit(71);
  _exit(70);
}

void start_thread(pthread_t *thread, void *(*body)(void *), void *argument) {
  struct start *start = threads_begin(body, argument);
  if (pthread_create(thread, NULL, threads_run, start) != 0) fail("pthread_create");
}

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void announce_ready(void) {
  threads_print();
  put_line("ready", (uint64_t)getpid());
  put_flush();
}

// Prints how long the kernel takes to clone us without sharing any memory, and nothing else: no exit
// signal, and a child that ends at once.
static void report_clone(void) {
  uint64_t begin = now_ns();
  long child = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
  if (child == 0) _exit(0);
  uint64_t end = now_ns();
  if (child < 0) fail("clone");
  // Such a child is waited for only when asked for.
  while (waitpid((pid_t)child, NULL, __WALL) < 0)
    if (errno != EINTR) fail("waitpid of a clone");
  put_line("clone_us", (end - begin) / 1000);
}

static void answer(const char *question, void (*on_line)(void)) {
  if (strcmp(question, "clone") == 0) {
    report_clone();
  } else if (strcmp(question, "lost") == 0 && heartbeat_runs()) {
    heartbeat_report_lost();
  } else {
    if (on_line != NULL) on_line();
    if (heartbeat_runs()) heartbeat_report();
    // Every line gets an answer, so that a test can tell that we run.
    if (on_line == NULL && !heartbeat_runs()) put_text("here\n");
  }
  put_flush();
}

void wait_until_closed(void (*on_line)(void)) {
  char line[64];
  size_t length = 0;
  announce_ready();
  heartbeat_reset();
  for (;;) {
    char input[512];
    ssize_t count = read(STDIN_FILENO, input, sizeof input);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    for (ssize_t index = 0; index < count; index++) {
      if (input[index] != '\n') {
        // What is longer is no question that we know.
        if (length < sizeof line - 1) line[length++] = input[index];
        continue;
      }
      line[length] = 0;
      length = 0;
      answer(line, on_line);
    }
  }
  if (heartbeat_runs()) heartbeat_report();
  put_flush();
}
