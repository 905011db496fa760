// Eight pages filled with their numbers, of which pages 2, 3 and 6 are swapped out and page 4 was given
// back; says where they are.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { page = 4096 };

int main(void) {
  char *memory =
      mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  madvise(memory, 8 * page, MADV_NOHUGEPAGE);
  for (int number = 0; number < 8; number++) memset(memory + number * page, number, page);
  if (madvise(memory + 4 * page, page, MADV_DONTNEED) != 0) return 1;
  // 21 is MADV_PAGEOUT, of Linux 5.4, in headers since glibc 2.32.
  if (madvise(memory + 2 * page, 2 * page, 21) != 0) return 1;
  if (madvise(memory + 6 * page, page, 21) != 0) return 1;
  printf("%lx\n", (unsigned long)memory);
  fflush(stdout);
  getchar();
  return 0;
}
