// Starts and ends short threads all the time, from eight threads; answers a line with how many.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_ulong total;

static void *brief(void *argument) {
  // Long enough to be seen running by a test that failed to stop it.
  usleep(2000);
  return argument;
}

static void *work(void *argument) {
  for (;;) {
    pthread_t threads[4];
    int started = 0;
    while (started < 4 && pthread_create(&threads[started], NULL, brief, NULL) == 0)
      started++;
    for (int i = 0; i < started; i++)
      pthread_join(threads[i], NULL);
    atomic_fetch_add(&total, started);
  }
  return argument;
}

int main(void) {
  for (int i = 0; i < 8; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0)
      return 1;
  }
  printf("ready\n");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    printf("%lu\n", atomic_load(&total));
    fflush(stdout);
  }
  return 0;
}
