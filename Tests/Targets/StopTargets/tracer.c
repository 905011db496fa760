// Attaches to a process with ptrace, says "ready", and lets go when its input ends.
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>

int main(int argc, char **argv) {
  if (argc < 2 || ptrace(PTRACE_SEIZE, atoi(argv[1]), NULL, NULL) < 0)
    return 1;
  printf("ready\n");
  fflush(stdout);
  return getchar() == EOF ? 0 : 1;
}
