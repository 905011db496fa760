// libiberty's demanglers with a bound for what they write.
#include "CDemangle.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <string.h>

struct output {
  char *buffer;
  size_t capacity;
  size_t count;
  jmp_buf full;
};

// Takes a piece. A demangler cannot be told to stop, so it is left: all that it has is on the stack, but for
// the letters of one identifier of Rust's with other than ASCII, which then are lost.
static void take(const char *piece, size_t count, void *opaque) {
  struct output *output = opaque;
  if (count > output->capacity - output->count) longjmp(output->full, 1);
  memcpy(output->buffer + output->count, piece, count);
  output->count += count;
}

int64_t cdm_cxx(const char *name, char *buffer, size_t capacity) {
  struct output output = {.buffer = buffer, .capacity = capacity};
  if (setjmp(output.full)) return -1;
  // As the C++ runtime asks, but for its limit of 1024 bytes: names of 4 KiB took 866 KiB of the stack.
  const int options = DMGL_PARAMS | DMGL_TYPES | DMGL_NO_RECURSE_LIMIT;
  if (!cplus_demangle_v3_callback(name, options, take, &output)) return -1;
  return (int64_t)output.count;
}

int64_t cdm_rust(const char *name, char *buffer, size_t capacity) {
  struct output output = {.buffer = buffer, .capacity = capacity};
  if (setjmp(output.full)) return -1;
  if (!rust_demangle_callback(name, 0, take, &output)) return -1;
  return (int64_t)output.count;
}
