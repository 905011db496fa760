// A heap of 17 GiB of which next to nothing is in memory.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  static char output[64], input[64];
  // Nothing is allocated after "ready".
  setvbuf(stdout, output, _IOFBF, sizeof output);
  setvbuf(stdin, input, _IOFBF, sizeof input);
  for (int block = 0; block < 17; block++)
    if (!malloc(1L << 30)) return 1;
  puts("ready");
  fflush(stdout);
  getchar();
  return 0;
}
