// Text on descriptor 1 through a static buffer: printing must never touch the heap it reports on.
#include "scenario.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static char buffer[1 << 16];
static size_t filled;

void put_flush(void) {
  size_t done = 0;
  while (done < filled) {
    ssize_t count = write(STDOUT_FILENO, buffer + done, filled - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) _exit(74);
    done += (size_t)count;
  }
  filled = 0;
}

void put_bytes(const char *bytes, size_t count) {
  while (count > 0) {
    size_t part = sizeof buffer - filled;
    if (part > count) part = count;
    memcpy(buffer + filled, bytes, part);
    filled += part;
    bytes += part;
    count -= part;
    if (filled == sizeof buffer) put_flush();
  }
}

void put_text(const char *text) { put_bytes(text, strlen(text)); }

static void put_number(uint64_t value, unsigned base) {
  char digits[20];
  size_t start = sizeof digits;
  do {
    digits[--start] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  put_bytes(digits + start, sizeof digits - start);
}

void put_decimal(uint64_t value) { put_number(value, 10); }

void put_hex(uint64_t value) {
  put_text("0x");
  put_number(value, 16);
}

void put_line(const char *name, uint64_t value) {
  put_text(name);
  put_text(" ");
  put_decimal(value);
  put_text("\n");
}
