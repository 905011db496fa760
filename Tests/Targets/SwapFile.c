// SwapFile PATH MIB: has the kernel swap to a new file, says `on`, and takes it back when its standard
// input is closed, so also when the test that started it is killed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>
#include <unistd.h>

enum { page = 4096 };

static int fail(const char *path, const char *what) {
  printf("%s of %s: %s\n", what, path, strerror(errno));
  return 1;
}

static int fail_and_remove(const char *path, const char *what) {
  fail(path, what);
  unlink(path);
  return 1;
}

int main(int count, char **values) {
  if (count != 3) return 2;
  const char *path = values[1];
  uint32_t pages = (uint32_t)strtoul(values[2], NULL, 10) * 256;
  if (sysconf(_SC_PAGESIZE) != page || pages < 16) return 2;
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return fail(path, "open");
  // What mkswap writes: in the first page, from byte 1024 on, a version and the last page's number,
  // and at its end a mark. No holes may be in the file.
  static char block[page];
  uint32_t header[2] = {1, pages - 1};
  for (uint32_t number = 0; number < pages; number++) {
    memset(block, 0, page);
    if (number == 0) {
      memcpy(block + 1024, header, sizeof header);
      memcpy(block + page - 10, "SWAPSPACE2", 10);
    }
    if (write(file, block, page) != page) return fail_and_remove(path, "write");
  }
  if (fsync(file) != 0 || close(file) != 0) return fail_and_remove(path, "fsync");
  if (swapon(path, 0) != 0) return fail_and_remove(path, "swapon");
  printf("on\n");
  fflush(stdout);
  char input;
  while (read(STDIN_FILENO, &input, 1) < 0 && errno == EINTR)
    ;
  if (swapoff(path) != 0) return fail(path, "swapoff");
  unlink(path);
  return 0;
}
