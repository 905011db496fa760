// Seven threads block in one system call each. At "finish" they are woken, and one line for each says
// how the call came back: its name, and "undisturbed" or the errno.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int pipes[4][2];
static int word;
static int semaphores;

// Every call returns 0 if it came back as it should, else the errno that it came back with.

static int call_nanosleep(void) {
  struct timespec span = {.tv_nsec = 400000000};
  return nanosleep(&span, NULL) < 0 ? errno : 0;
}

static int call_futex(void) {
  long result = syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
  // A call that was restarted after the word had changed says so instead of waiting.
  return result < 0 && errno != EAGAIN ? errno : 0;
}

static int call_poll(void) {
  struct pollfd wanted = {.fd = pipes[0][0], .events = POLLIN};
  return poll(&wanted, 1, 60000) == 1 ? 0 : errno;
}

static int call_read(void) {
  char byte;
  return read(pipes[1][0], &byte, 1) == 1 ? 0 : errno;
}

static int call_epoll_wait(void) {
  int set = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(set, EPOLL_CTL_ADD, pipes[2][0], &event);
  return epoll_wait(set, &event, 1, 60000) == 1 ? 0 : errno;
}

static int call_semop(void) {
  struct sembuf take = {.sem_op = -1};
  return semop(semaphores, &take, 1) < 0 ? errno : 0;
}

static int call_sigtimedwait(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  struct timespec span = {.tv_sec = 60};
  return sigtimedwait(&set, NULL, &span) < 0 ? errno : 0;
}

static struct {
  const char *name;
  int (*call)(void);
  int result;
  pthread_t thread;
} calls[] = {
    {"nanosleep", call_nanosleep, 0, 0},     {"futex", call_futex, 0, 0},
    {"poll", call_poll, 0, 0},               {"read", call_read, 0, 0},
    {"epoll_wait", call_epoll_wait, 0, 0},   {"semop", call_semop, 0, 0},
    {"sigtimedwait", call_sigtimedwait, 0, 0},
};
enum { call_count = sizeof calls / sizeof *calls };

static void *work(void *argument) {
  long number = (long)argument;
  calls[number].result = calls[number].call();
  return NULL;
}

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  semaphores = semget(IPC_PRIVATE, 1, 0600);
  for (int i = 0; i < 4; i++)
    if (pipe(pipes[i]) < 0)
      return 1;
  for (long i = 0; i < call_count; i++)
    if (pthread_create(&calls[i].thread, NULL, work, (void *)i) != 0)
      return 1;
  printf("ready\n");
  fflush(stdout);
  char line[64];
  if (!fgets(line, sizeof line, stdin))
    return 1;
  struct sembuf give = {.sem_op = 1};
  for (int i = 0; i < 4; i++)
    if (write(pipes[i][1], "x", 1) != 1)
      return 1;
  semop(semaphores, &give, 1);
  pthread_kill(calls[call_count - 1].thread, SIGUSR1);
  word = 1;
  syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
  for (int i = 0; i < call_count; i++) {
    pthread_join(calls[i].thread, NULL);
    printf("%s %s\n", calls[i].name,
           calls[i].result == 0 ? "undisturbed" : strerrorname_np(calls[i].result));
  }
  semctl(semaphores, 0, IPC_RMID);
  fflush(stdout);
  return 0;
}
