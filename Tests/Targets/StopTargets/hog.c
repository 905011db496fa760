// For each line on standard input, touches as many MiB more as the line says and answers `here`.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(void) {
  printf("ready\n");
  fflush(stdout);
  char line[32];
  while (fgets(line, sizeof line, stdin) != NULL) {
    size_t count = (size_t)strtoul(line, NULL, 10) << 20;
    if (count > 0) {
      char *memory =
          mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) return 1;
      for (size_t place = 0; place < count; place += 4096) memory[place] = 1;
    }
    printf("here\n");
    fflush(stdout);
  }
  return 0;
}
