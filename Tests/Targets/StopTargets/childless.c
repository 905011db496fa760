// Has no children, counts SIGCHLD and waits for any child again and again, which is to fail. Answers a
// line with "signals N children N".
#define _DEFAULT_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_long signals, children;

static void note(int number) {
  (void)number;
  atomic_fetch_add(&signals, 1);
}

static void *wait_for_any(void *argument) {
  for (;;) {
    if (waitpid(-1, NULL, 0) > 0)
      atomic_fetch_add(&children, 1);
    usleep(200);
  }
  return argument;
}

int main(void) {
  struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
  sigaction(SIGCHLD, &action, NULL);
  pthread_t thread;
  if (pthread_create(&thread, NULL, wait_for_any, NULL) != 0)
    return 1;
  printf("ready\n");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    printf("signals %ld children %ld\n", atomic_load(&signals), atomic_load(&children));
    fflush(stdout);
  }
  return 0;
}
