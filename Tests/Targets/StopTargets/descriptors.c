// Has a pipe, whose writing end it closes when it is told so by a line; says "end" when it then reads
// the end from it.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  if (pipe(ends) != 0)
    return 1;
  printf("ready\n");
  fflush(stdout);
  char line[64], byte;
  if (!fgets(line, sizeof line, stdin))
    return 1;
  close(ends[1]);
  if (read(ends[0], &byte, 1) != 0)
    return 1;
  printf("end\n");
  fflush(stdout);
  return getchar() == EOF ? 0 : 1;
}
