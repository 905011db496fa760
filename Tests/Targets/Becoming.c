// Executes the program that a line on standard input names, with the argument `idle`; with its own
// path it starts itself anew. Says `ready` first, and holds 100 blocks of 100 bytes with a text.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  static char *volatile held;
  for (int block = 0; block < 100; block++)
    held = strcpy(malloc(100), "Words of the program's");
  printf("ready\n");
  fflush(stdout);
  char path[4096];
  ssize_t length = read(STDIN_FILENO, path, sizeof path - 1);
  if (length <= 1) return 0;
  path[length - 1] = 0;
  execl(path, path, "idle", (char *)NULL);
  perror("execl");
  return 1;
}
