// Starts N threads that wait or count, says "ready", and answers "count" with the sum of the counts.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_ulong total;
static atomic_int started;

static void *work(void *argument) {
  long number = (long)argument;
  atomic_fetch_add(&started, 1);
  for (;;) {
    // Every tenth thread is busy; the others sleep in the kernel.
    if (number % 10 == 0)
      atomic_fetch_add(&total, 1);
    usleep(number % 10 == 0 ? 500 : 100000);
  }
  return NULL;
}

int main(int argc, char **argv) {
  long count = argc > 1 ? atol(argv[1]) : 1;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 65536);
  for (long i = 0; i < count; i++) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, work, (void *)i) != 0)
      return 1;
  }
  while (atomic_load(&started) < count)
    usleep(1000);
  printf("ready\n");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    printf("%lu\n", atomic_load(&total));
    fflush(stdout);
  }
  return 0;
}
