// Calls vfork; the child says "ready" and keeps the parent waiting until a line comes in, then ends.
// The parent says "resumed" and answers every line with "alive".
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *text) {
  if (write(1, text, strlen(text)) < 0)
    _exit(3);
}

int main(void) {
  char byte = 0;
  pid_t child = vfork();
  if (child == 0) {
    say("ready\n");
    while (read(0, &byte, 1) == 1 && byte != '\n')
      ;
    _exit(0);
  }
  waitpid(child, NULL, 0);
  say("resumed\n");
  while (read(0, &byte, 1) == 1)
    if (byte == '\n')
      say("alive\n");
  return 0;
}
