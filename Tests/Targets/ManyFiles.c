// Maps many files: loads every library that it is named, prints how many it loaded and its process id,
// and waits for the end of its standard input.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments) {
  int loaded = 0;
  for (int index = 1; index < count; index++) {
    if (dlopen(arguments[index], RTLD_NOW | RTLD_LOCAL)) loaded++;
    else fprintf(stderr, "%s\n", dlerror());
  }
  for (int index = 0; index < 1000; index++)
    if (!malloc(100 + (size_t)index)) return 1;
  printf("ready %d %d\n", loaded, (int)getpid());
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  return 0;
}
