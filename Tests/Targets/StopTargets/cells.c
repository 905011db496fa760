// Writes the number of the round into every one of its cells, in order, round after round. Says "ready
// ADDRESS COUNT", and answers a line with the round that it is in.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { cell_count = 1 << 18 };
static volatile uint64_t *cells;
static _Atomic uint64_t current_round;

static void *write_rounds(void *argument) {
  for (;;) {
    uint64_t now = atomic_fetch_add(&current_round, 1) + 1;
    for (size_t i = 0; i < cell_count; i++)
      cells[i] = now;
    usleep(100);
  }
  return argument;
}

int main(void) {
  cells = calloc(cell_count, sizeof *cells);
  pthread_t thread;
  if (cells == NULL || pthread_create(&thread, NULL, write_rounds, NULL) != 0)
    return 1;
  printf("ready %lu %d\n", (unsigned long)(uintptr_t)cells, cell_count);
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    printf("%lu\n", (unsigned long)atomic_load(&current_round));
    fflush(stdout);
  }
  return 0;
}
