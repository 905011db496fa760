// Arenas of threads that have ended, and many blocks as large as a thread's cache structure.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 3, BLOCKS = 40000 };

static void *work(void *unused) {
  for (int index = 0; index < 1000; index++)
    if (!malloc(200)) _exit(1);
  return unused;
}

int main(void) {
  pthread_t threads[THREADS];
  for (int index = 0; index < THREADS; index++)
    if (pthread_create(&threads[index], NULL, work, NULL) != 0) return 1;
  for (int index = 0; index < THREADS; index++) pthread_join(threads[index], NULL);
  for (int index = 0; index < BLOCKS; index++) {
    char *block = malloc(650);
    if (!block) return 1;
    // Some are zeros, some hold larger numbers than any counter of a cache.
    memset(block, index % 2 ? 0 : 0x7f, 650);
  }
  printf("ready %d\n", (int)getpid());
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  return 0;
}
