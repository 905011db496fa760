// Its first thread ends, with an argument only after a line; another one answers every line with
// "alive".
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static pthread_t first;

static void *work(void *argument) {
  pthread_join(first, NULL);
  printf("ready\n");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    printf("alive\n");
    fflush(stdout);
  }
  _exit(0);
  return argument;
}

int main(int count, char **values) {
  (void)values;
  pthread_t thread;
  first = pthread_self();
  if (pthread_create(&thread, NULL, work, NULL) != 0)
    return 1;
  char last = count > 1 ? ' ' : '\n';
  if (last == ' ') {
    printf("waiting\n");
    fflush(stdout);
  }
  while (last != '\n')
    if (read(STDIN_FILENO, &last, 1) != 1) return 1;
  pthread_exit(NULL);
}
