// Starts N threads and ends after that many microseconds, by exec (to /bin/true) if a third argument
// says so, else by exit with status 7.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *work(void *argument) {
  for (;;)
    usleep(100);
  return argument;
}

int main(int argc, char **argv) {
  if (argc < 3)
    return 1;
  for (int i = 0; i < atoi(argv[1]); i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0)
      return 1;
  }
  printf("ready\n");
  fflush(stdout);
  usleep(atoi(argv[2]));
  if (argc > 3)
    execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
  exit(7);
}
