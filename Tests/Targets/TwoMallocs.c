// TwoMallocs forward COUNT: allocates COUNT blocks from glibc's malloc by its own name, whatever malloc is.
// TwoMallocs LIBRARY COUNT: loads a library with a malloc for itself, and allocates as many from each.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 200 };

extern void *__libc_malloc(size_t size);

int main(int count, char **values) {
  if (count != 3) return 64;
  long blocks = strtol(values[2], NULL, 10);
  void *(*other)(size_t) = __libc_malloc;
  if (strcmp(values[1], "forward") != 0) {
    void *library = dlopen(values[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return 66;
    other = (void *(*)(size_t))dlsym(library, "malloc");
  }
  for (long number = 0; number < blocks; number++) {
    void *volatile ours = malloc(BLOCK);
    void *volatile theirs = other(BLOCK);
    if (ours == NULL || theirs == NULL) return 71;
    memset(theirs, 0x5a, BLOCK);
  }
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) continue;
  return 0;
}
