// glibc's own account of the heap, taken so that taking and printing it changes nothing.
#include "scenario.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

static FILE *stream;
static char stream_buffer[1 << 16];
static char text[4 << 20];
static size_t text_length;

static ssize_t append(void *cookie, const char *bytes, size_t count) {
  (void)cookie;
  if (count > sizeof text - text_length) fail("malloc_info wrote more than expected");
  memcpy(text + text_length, bytes, count);
  text_length += count;
  return (ssize_t)count;
}

static void take_malloc_info(void) {
  text_length = 0;
  if (malloc_info(0, stream) != 0 || fflush(stream) != 0) fail("malloc_info");
}

void oracle_prepare(void) {
  if (stream != NULL) return;
  stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = append});
  if (stream == NULL) fail("fopencookie");
  if (setvbuf(stream, stream_buffer, _IOFBF, sizeof stream_buffer) != 0) fail("setvbuf");
  // Once beforehand, so that whatever the first call would allocate is there before the history.
  take_malloc_info();
}

// The figures as mallinfo2 gives them (glibc 2.33 on), and as mallinfo gave them before, in numbers
// that wrap. Declared here, so that this file compiles with the headers of either time.
struct figures {
  size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
struct small_figures {
  unsigned arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
extern struct figures wide_mallinfo(void) __asm__("mallinfo2") __attribute__((weak));
extern struct small_figures small_mallinfo(void) __asm__("mallinfo");

static struct figures take_mallinfo(void) {
  if (wide_mallinfo != NULL) return wide_mallinfo();
  struct small_figures small = small_mallinfo();
  return (struct figures){small.arena,   small.ordblks,  small.smblks,  small.hblks,
                          small.hblkhd,  small.usmblks,  small.fsmblks, small.uordblks,
                          small.fordblks, small.keepcost};
}

static void put_field(const char *name, size_t value) {
  put_text(" ");
  put_text(name);
  put_text("=");
  put_decimal(value);
}

void oracle_print(bool with_blocks) {
  oracle_prepare();
  struct figures info = take_mallinfo();
  take_malloc_info();

  put_text("mallinfo2");
  put_field("arena", info.arena);
  put_field("ordblks", info.ordblks);
  put_field("smblks", info.smblks);
  put_field("hblks", info.hblks);
  put_field("hblkhd", info.hblkhd);
  put_field("usmblks", info.usmblks);
  put_field("fsmblks", info.fsmblks);
  put_field("uordblks", info.uordblks);
  put_field("fordblks", info.fordblks);
  put_field("keepcost", info.keepcost);
  put_text("\nmalloc_info BEGIN\n");
  put_bytes(text, text_length);
  put_text("malloc_info END\n");
  // The one block that is libc's and not ours.
  put_text("libc ");
  put_hex((uint64_t)(uintptr_t)stream);
  put_text(" ");
  put_decimal(malloc_usable_size(stream));
  put_text("\n");
  ledger_print(with_blocks);
}
