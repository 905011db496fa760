// Maps three pages filled with 1, 2 and 3, then takes the middle one away, and prints the page size
// and the address of the first; ends when its input does.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void) {
  // So that Yama lets a sibling trace it; without Yama this fails and is not needed.
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  long page = sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    return 1;
  for (int i = 0; i < 3; i++)
    memset(pages + i * page, i + 1, page);
  munmap(pages + page, page);
  // 64 pages of which the first half is touched.
  char *half = mmap(NULL, 64 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(half, 64 * page, MADV_NOHUGEPAGE);
  for (int i = 0; i < 32; i++)
    half[i * page] = 1;
  printf("%ld %lx %lx\n", page, (unsigned long)pages, (unsigned long)half);
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin))
    ;
  return 0;
}
