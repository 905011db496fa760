// Sends N queued signals with the values 1 to N to a process, never more than the kernel's queue
// holds, and says "sent".
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 3)
    return 1;
  pid_t pid = atoi(argv[1]);
  int count = atoi(argv[2]);
  for (int i = 1; i <= count; i++) {
    union sigval value = {.sival_int = i};
    while (sigqueue(pid, SIGRTMIN, value) < 0) {
      if (errno != EAGAIN)
        return 2;
      usleep(100);
    }
    // Spread over the time in which the tests stop the target.
    if (i % 10 == 0)
      usleep(100);
  }
  printf("sent\n");
  return 0;
}
