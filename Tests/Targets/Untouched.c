// A heap in which most pages were never touched, and one is protected: what a look at it must leave
// as it was.
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(void) {
  static char output[64], input[64];
  void *guarded;
  void *mapped;
  // Everything in the main heap, however large.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  // Nothing is allocated after "ready".
  setvbuf(stdout, output, _IOFBF, sizeof output);
  setvbuf(stdin, input, _IOFBF, sizeof input);
  for (int block = 0; block < 1000; block++)
    if (!malloc(100000))
      return 1;
  // A page inside of a block that the program itself may not use, as stacks of coroutines have.
  if (posix_memalign(&guarded, 4096, 16384) || mprotect(guarded, 4096, PROT_NONE))
    return 1;
  mallopt(M_MMAP_THRESHOLD, 1 << 17);
  if (posix_memalign(&mapped, 4096, 1 << 20) || mprotect(mapped, 4096, PROT_READ))
    return 1;
  puts("ready");
  fflush(stdout);
  getchar();
  return 0;
}
