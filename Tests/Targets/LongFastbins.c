// Frees BLOCKS blocks in each of two threads, so that all but a few lie in two fastbins; says "ready" when
// that is done and ends when standard input does.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int block_count;
static pthread_barrier_t done;

static void *work(void *unused) {
  (void)unused;
  void **blocks = malloc(block_count * sizeof *blocks);
  if (!blocks)
    abort();
  for (int index = 0; index < block_count; index++)
    blocks[index] = malloc(24);
  for (int index = 0; index < block_count; index++)
    free(blocks[index]);
  pthread_barrier_wait(&done);
  pause();
  return NULL;
}

int main(int count, char **arguments) {
  pthread_t threads[2];
  block_count = count > 1 ? atoi(arguments[1]) : 600000;
  pthread_barrier_init(&done, NULL, 3);
  for (int index = 0; index < 2; index++)
    if (pthread_create(&threads[index], NULL, work, NULL) != 0)
      return 2;
  pthread_barrier_wait(&done);
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF)
    ;
  return 0;
}
