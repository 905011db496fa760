// Starts children and waits for any child, again and again. With "ignore" it ignores SIGCHLD, with
// "count" it counts that signal. Answers a line with "children N signals N strangers N", where a
// stranger is a child that it waited for and has not started.
#define _DEFAULT_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_long children, signals, strangers;

static void note(int number) {
  (void)number;
  atomic_fetch_add(&signals, 1);
}

static void *have_children(void *argument) {
  int is_ignoring = argument != NULL;
  for (;;) {
    pid_t child = fork();
    if (child == 0)
      _exit(0);
    pid_t seen;
    while ((seen = waitpid(-1, NULL, 0)) != child) {
      if (seen > 0)
        atomic_fetch_add(&strangers, 1);
      // Who ignores the signal is told that there is none once all have ended.
      if (seen < 0 && errno == ECHILD && is_ignoring)
        break;
      if (seen < 0 && errno != EINTR)
        atomic_fetch_add(&strangers, 1000);
    }
    atomic_fetch_add(&children, 1);
    usleep(500);
  }
  return NULL;
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  int is_ignoring = strcmp(mode, "ignore") == 0;
  struct sigaction action = {.sa_handler = is_ignoring ? SIG_IGN : note, .sa_flags = SA_RESTART};
  sigaction(SIGCHLD, &action, NULL);
  pthread_t thread;
  if (pthread_create(&thread, NULL, have_children, is_ignoring ? &children : NULL) != 0)
    return 1;
  printf("ready\n");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    printf("children %ld signals %ld strangers %ld\n", atomic_load(&children),
           atomic_load(&signals), atomic_load(&strangers));
    fflush(stdout);
  }
  return 0;
}
