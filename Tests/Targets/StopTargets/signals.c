// Counts the queued signals that arrive at its four threads; answers a line with the count and the
// sum of the values that came with them.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_long count, sum;

static void note(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  atomic_fetch_add(&count, 1);
  atomic_fetch_add(&sum, info->si_value.sival_int);
}

static void *work(void *argument) {
  for (;;)
    usleep(200);
  return argument;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGRTMIN, &action, NULL);
  for (int i = 0; i < 3; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0)
      return 1;
  }
  printf("ready\n");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    printf("%ld %ld\n", atomic_load(&count), atomic_load(&sum));
    fflush(stdout);
  }
  return 0;
}
