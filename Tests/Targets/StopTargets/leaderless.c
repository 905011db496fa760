// Its first thread ends; another one answers every line with "alive".
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static pthread_t first;

static void *work(void *argument) {
  pthread_join(first, NULL);
  printf("ready\n");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    printf("alive\n");
    fflush(stdout);
  }
  _exit(0);
  return argument;
}

int main(void) {
  pthread_t thread;
  first = pthread_self();
  if (pthread_create(&thread, NULL, work, NULL) != 0)
    return 1;
  pthread_exit(NULL);
}
