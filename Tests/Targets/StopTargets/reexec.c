// Starts itself again, in the same process, for each line on standard input; `fixed` as its argument
// makes it do so without address randomisation.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

int main(int count, char **values) {
  int is_fixed = personality(0xffffffff) & ADDR_NO_RANDOMIZE;
  if (count > 1 && strcmp(values[1], "fixed") == 0 && !is_fixed) {
    if (personality(ADDR_NO_RANDOMIZE) < 0) return 1;
    execv("/proc/self/exe", values);
    return 1;
  }
  printf("ready %p\n", (void *)&count);
  fflush(stdout);
  char line[16];
  ssize_t length = read(STDIN_FILENO, line, sizeof line);
  if (length <= 0) return 0;
  execv("/proc/self/exe", values);
  return 1;
}
