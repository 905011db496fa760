// Stands in front of glibc's allocation functions, forwards every call, and notes what is live.
//
// glibc exports its own functions under a second name, so nothing has to be looked up, and a call
// that comes before any constructor has run is recorded like any other.
#define _GNU_SOURCE
#include "AllocationRecorder.h"

#include "../PlainLinking.h"
#include "table.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void *recorded(void *block) {
  table_add(block);
  return block;
}

void *malloc(size_t size) { return recorded(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) { return recorded(__libc_calloc(count, size)); }

void free(void *block) {
  table_remove(block);
  __libc_free(block);
}

void *realloc(void *block, size_t size) {
  table_remove(block);
  void *moved = __libc_realloc(block, size);
  // A failure leaves the old block live; size 0 with a block is a free.
  if (moved == NULL && size != 0) table_add(block);
  return recorded(moved);
}

void *reallocarray(void *block, size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) {
    errno = ENOMEM;
    return NULL;
  }
  return realloc(block, total);
}

void *memalign(size_t alignment, size_t size) {
  return recorded(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **result, size_t alignment, size_t size) {
  bool is_power_of_two = alignment != 0 && (alignment & (alignment - 1)) == 0;
  if (!is_power_of_two || alignment % sizeof(void *) != 0) return EINVAL;
  // The function reports through its value and leaves errno alone.
  int saved = errno;
  void *block = memalign(alignment, size);
  errno = saved;
  if (block == NULL) return ENOMEM;
  *result = block;
  return 0;
}

void *valloc(size_t size) { return memalign((size_t)sysconf(_SC_PAGESIZE), size); }

void *pvalloc(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t rounded;
  if (__builtin_add_overflow(size, page - 1, &rounded)) {
    errno = ENOMEM;
    return NULL;
  }
  return memalign(page, rounded & ~(page - 1));
}
