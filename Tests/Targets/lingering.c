// Runs a program and ends as it did, but a little later.
//
// The kernel brings what is written to a terminal to its other side in its own time, and tmux does
// not wait for it: the last words of a program that it starts itself are sometimes lost.
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void ignore(int signal) { (void)signal; }

int main(int count, char **arguments) {
  if (count < 2) return 2;
  // What the keyboard sends is for the program. It gets the defaults again when it is started.
  const int keys[] = {SIGINT, SIGQUIT, SIGTSTP};
  for (size_t index = 0; index < sizeof keys / sizeof *keys; index++) signal(keys[index], ignore);
  const pid_t program = fork();
  if (program == 0) {
    execvp(arguments[1], arguments + 1);
    _exit(127);
  }
  int status;
  while (waitpid(program, &status, 0) != program) {
  }
  usleep(100000);
  if (WIFSIGNALED(status)) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(WTERMSIG(status), SIG_DFL);
    kill(getpid(), WTERMSIG(status));
  }
  return WEXITSTATUS(status);
}
