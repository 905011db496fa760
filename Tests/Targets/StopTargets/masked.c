// Its only thread waits in sigsuspend, in which alone SIGUSR1 gets through and SIGUSR2 does not, or, with
// "ppoll", in ppoll. Writes a line for every SIGUSR1: "woken", or "mask" if the mask is another one than
// before. SIGUSR2 ends it.
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t woken, is_over;

static void note(int number) {
  if (number == SIGUSR1)
    woken = 1;
  else
    is_over = 1;
}

static int say(const char *text) {
  return write(1, text, strlen(text)) < 0;
}

int main(int argc, char **argv) {
  int is_polling = argc > 1 && strcmp(argv[1], "ppoll") == 0;
  struct sigaction action = {.sa_handler = note};
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGUSR2, &action, NULL);
  sigset_t usual, waiting, found;
  sigemptyset(&usual);
  sigaddset(&usual, SIGUSR1);
  sigprocmask(SIG_SETMASK, &usual, NULL);
  sigemptyset(&waiting);
  sigaddset(&waiting, SIGUSR2);
  if (say("ready\n"))
    return 1;
  while (!is_over) {
    if (is_polling)
      ppoll(NULL, 0, NULL, &waiting);
    else
      sigsuspend(&waiting);
    sigprocmask(SIG_SETMASK, NULL, &found);
    int is_usual = sigismember(&found, SIGUSR1) == 1 && sigismember(&found, SIGUSR2) == 0 &&
                   sigismember(&found, SIGALRM) == 0;
    if (!is_usual && say("mask\n"))
      return 1;
    if (woken && say("woken\n"))
      return 1;
    woken = 0;
  }
  return 0;
}
