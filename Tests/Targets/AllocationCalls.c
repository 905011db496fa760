// Calls every allocation function, checks what it promises, and lists what is still live.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char line[128];

static void write_line(int length) {
  if (write(STDOUT_FILENO, line, (size_t)length) != length) _exit(74);
}

static void require(int holds, const char *rule) {
  if (holds) return;
  dprintf(STDERR_FILENO, "does not hold: %s\n", rule);
  _exit(1);
}

static void list(void *block) {
  require(block != NULL, "a block is there");
  write_line(snprintf(line, sizeof line, "live 0x%jx %zu\n", (uintmax_t)(uintptr_t)block,
                      malloc_usable_size(block)));
}

static int is_aligned(void *block, uintptr_t alignment) {
  return (uintptr_t)block % alignment == 0;
}

int main(void) {
  // Volatile sizes and pointers, so that the compiler leaves every call where it is.
  volatile size_t small = 100, huge = PTRDIFF_MAX, page = (size_t)sysconf(_SC_PAGESIZE);
  list(malloc(small));
  char *zeroes = calloc(small, 7);
  for (size_t index = 0; index < small * 7; index++) require(zeroes[index] == 0, "calloc clears");
  list(zeroes);
  void *volatile moved = realloc(NULL, small);
  for (size_t size = 10; size < 3000000; size *= 3) moved = realloc(moved, size);
  moved = realloc(moved, 50);
  list(moved);
  void *volatile kept = malloc(small);
  require(realloc(kept, huge) == NULL && errno == ENOMEM, "a huge realloc fails");
  list(kept);
  void *volatile gone = malloc(small);
  require(realloc(gone, 0) == NULL, "realloc to 0 frees");
  list(reallocarray(NULL, small, 3));
  require(reallocarray(NULL, huge, 3) == NULL && errno == ENOMEM, "reallocarray checks");
  require(malloc(huge) == NULL && calloc(huge, 4) == NULL, "huge requests fail");

  void *volatile block = memalign(256, small);
  require(is_aligned(block, 256), "memalign aligns");
  list(block);
  void *aligned = NULL;
  require(posix_memalign(&aligned, 4096, small) == 0, "posix_memalign works");
  require(is_aligned(aligned, 4096), "posix_memalign aligns");
  list(aligned);
  errno = 0;
  require(posix_memalign(&aligned, 3, small) == EINVAL, "posix_memalign checks the alignment");
  require(posix_memalign(&aligned, 64, huge) == ENOMEM && errno == 0, "it leaves errno alone");
  block = aligned_alloc(128, 256);
  require(is_aligned(block, 128), "aligned_alloc aligns");
  list(block);
  block = valloc(small);
  require(is_aligned(block, page), "valloc aligns");
  list(block);
  block = pvalloc(small);
  require(is_aligned(block, page) && malloc_usable_size(block) >= page, "pvalloc rounds up");
  list(block);
  errno = EDOM;
  free(NULL);
  free(malloc(small));
  require(errno == EDOM, "free leaves errno alone");

  // What a child frees is still ours.
  pid_t child = fork();
  if (child == 0) {
    free(kept);
    for (int count = 0; count < 1000; count++) malloc(small);
    _exit(0);
  }
  int status;
  require(waitpid(child, &status, 0) == child && status == 0, "the child ends well");
  write_line(snprintf(line, sizeof line, "ready %d\n", (int)getpid()));
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  return 0;
}
