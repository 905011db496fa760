// A small heap in one file, for being linked in other ways and with other libraries than
// HeapScenario: it prints its live blocks, says ready, and ends when standard input is closed.
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCKS = 1000 };

static void *blocks[BLOCKS];
static char output_buffer[1 << 16];

int main(void) {
  // A buffer of our own, so that printing allocates nothing.
  if (setvbuf(stdout, output_buffer, _IOFBF, sizeof output_buffer) != 0) return 70;
  for (size_t index = 0; index < BLOCKS; index++) {
    // Sizes that no library asks for on its own behalf; one of them is mmapped.
    blocks[index] = malloc(index == 501 ? 300000 : 5000 + index % 7 * 16);
    if (blocks[index] == NULL) return 70;
  }
  for (size_t index = 0; index < BLOCKS; index += 10) {
    free(blocks[index]);
    blocks[index] = NULL;
  }
  for (size_t index = 0; index < BLOCKS; index++)
    if (blocks[index] != NULL)
      printf("live 0x%zx %zu\n", (size_t)(uintptr_t)blocks[index],
             malloc_usable_size(blocks[index]));
  printf("ready %d\n", (int)getpid());
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  return 0;
}
