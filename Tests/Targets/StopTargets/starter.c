// starter PROGRAM ARGUMENT...: runs the program in a session of its own with pipes to itself, says
// "ready PID" and then does nothing: killing it is what a test does.
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int down[2], up[2];
  if (argc < 2 || pipe(down) != 0 || pipe(up) != 0)
    return 1;
  pid_t child = fork();
  if (child == 0) {
    setsid();
    dup2(down[0], 0);
    dup2(up[1], 1);
    close(down[0]), close(down[1]), close(up[0]), close(up[1]);
    execv(argv[1], argv + 1);
    _exit(127);
  }
  printf("ready %d\n", child);
  fflush(stdout);
  for (;;)
    pause();
}
