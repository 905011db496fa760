// Its children would begin a new PID namespace, or with "time" a new time namespace. Answers a line
// with "alive".
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <string.h>

// CLONE_NEWTIME, which glibc names only in newer versions.
enum { new_time = 0x80 };

int main(int argc, char **argv) {
  if (unshare(argc > 1 && strcmp(argv[1], "time") == 0 ? new_time : CLONE_NEWPID) != 0)
    return 1;
  printf("ready\n");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    printf("alive\n");
    fflush(stdout);
  }
  return 0;
}
