// Checks the signal part of the shim in a process of its own; prints one line for each rule that
// does not hold, and "done".
#include "CPtrace.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void ignore_it(int number) { (void)number; }

static void expect(int holds, const char *rule) {
  if (!holds)
    printf("broken: %s\n", rule);
}

static int is_default(int number) {
  struct sigaction action;
  sigaction(number, NULL, &action);
  return action.sa_handler == SIG_DFL;
}

int main(void) {
  const int fatal[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGBUS, SIGSEGV};
  for (int i = 0; i < 7; i++)
    signal(fatal[i], ignore_it);
  expect(cpt_reset_fatal_signals() == 0, "resetting succeeds");
  for (int i = 0; i < 7; i++)
    expect(is_default(fatal[i]), "a fatal signal has its default action");
  signal(SIGHUP, SIG_IGN);
  expect(cpt_catch_interrupts() == 0, "catching succeeds");
  expect(cpt_interrupted() == 0, "nothing has arrived at first");
  raise(SIGHUP);
  expect(cpt_interrupted() == 0, "a signal ignored before stays ignored");
  raise(SIGTERM);
  raise(SIGINT);
  expect(cpt_interrupted() == SIGTERM, "the first signal is kept");
  expect(is_default(SIGTERM), "the second of a kind ends the process");
  printf("done\n");
  return 0;
}
