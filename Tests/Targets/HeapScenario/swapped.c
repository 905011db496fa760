// A heap that is partly swapped out, as far as the machine can swap.
#include "scenario.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { page = 4096 };

// Of Linux 5.4; in headers since glibc 2.32.
static const int page_out = 21;

static void swap_out(char *begin, char *end) {
  if (begin < end && madvise(begin, (size_t)(end - begin), page_out) != 0)
    fail("madvise: MADV_PAGEOUT");
}

static char *page_of(const void *address) {
  return (char *)((uintptr_t)address & ~(uintptr_t)(page - 1));
}

// Swaps out all private memory that can be written to, without allocating anything. What is needed to
// go on comes back at once.
static void swap_out_everything(void) {
  static char maps[1 << 16];
  int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  size_t filled = 0;
  ssize_t count;
  while ((count = read(file, maps + filled, sizeof maps - 1 - filled)) > 0) filled += (size_t)count;
  close(file);
  for (char *line = maps; *line != 0;) {
    char *end;
    char *low = (char *)strtoul(line, &end, 16);
    char *high = (char *)strtoul(end + 1, &end, 16);
    // The stack is in use, and what the kernel keeps for itself at the end is none of ours.
    char *rest = strchr(line, '\n');
    if (memcmp(end, " rw-p", 5) == 0 && memchr(end, '[', (size_t)(rest - end)) == NULL)
      swap_out(low, high);
    else if (memcmp(end, " rw-p", 5) == 0 && rest - end > 6 && memcmp(rest - 6, "[heap]", 6) == 0)
      swap_out(low, high);
    line = rest + 1;
  }
}

// swapped [all]: 10 MiB of small blocks, every fourth stretch of 32 pages swapped out; one block with a
// mapping of its own, of which only the first page is in memory; or everything swapped out.
void scenario_swapped(struct arguments arguments) {
  bool is_all = arguments.count > 0 && strcmp(arguments.values[0], "all") == 0;
  oracle_prepare();
  struct dice dice = dice_seeded(10);
  struct ledger *ledger = ledger_open(60001);
  for (size_t index = 0; index < 60000; index++)
    ledger->blocks[index] = no_memory_check(malloc(1 + dice_below(&dice, 320)), "malloc");
  char *first = page_of(ledger->blocks[0]) + page;
  char *last = page_of(ledger->blocks[59999]);
  size_t size = 8 << 20;
  char *large = no_memory_check(malloc(size), "malloc");
  memset(large, 1, size);
  ledger->blocks[60000] = large;
  for (size_t index = 0; index < 60000; index += 20) {
    free(ledger->blocks[index]);
    ledger->blocks[index] = NULL;
  }
  oracle_print(true);
  put_line("swapping", 1);
  put_flush();
  if (is_all) {
    swap_out_everything();
  } else {
    for (char *place = first + 96 * page; place + 32 * page <= last; place += 128 * page)
      swap_out(place, place + 32 * page);
    swap_out(page_of(large) + page, page_of(large + size));
  }
  wait_until_closed(NULL);
}
