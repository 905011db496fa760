// Scenarios with more than one piece of memory outside thread arenas: mmapped chunks, and a main
// arena whose break moved under it or could not move.
#include "scenario.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { KIB = 1024, MIB = 1024 * 1024 };

void build_mmaps(void) {
  struct ledger *ledger = ledger_open(18);
  void **blocks = ledger->blocks;
  size_t count = 0;
  static const size_t plain[] = {132 * KIB, 200000, 300001, 1 * MIB, 5 * MIB + 17, 140000};
  for (size_t index = 0; index < 6; index++)
    blocks[count++] = no_memory_check(malloc(plain[index]), "malloc");
  static const size_t alignments[] = {64, 256, 1024, 4096, 64 * KIB, 1 * MIB, 2 * MIB};
  for (size_t index = 0; index < 7; index++)
    blocks[count++] = no_memory_check(memalign(alignments[index], 250000 + index), "memalign");
  static const size_t posix[] = {128, 2048, 2 * MIB};
  for (size_t index = 0; index < 3; index++)
    if (posix_memalign(&blocks[count++], posix[index], 400000 + index) != 0)
      fail("posix_memalign");
  blocks[count++] = no_memory_check(calloc(3, 100000), "calloc");
  blocks[count++] = no_memory_check(aligned_alloc(512, 512 * KIB), "aligned_alloc");
  // Moved or resized in place by the kernel: a plain one and aligned ones, up and down.
  blocks[1] = no_memory_check(realloc(blocks[1], 3 * MIB), "realloc");
  blocks[4] = no_memory_check(realloc(blocks[4], 1 * MIB), "realloc");
  blocks[7] = no_memory_check(realloc(blocks[7], 2 * MIB), "realloc");
  blocks[10] = no_memory_check(realloc(blocks[10], 150000), "realloc");
  blocks[15] = no_memory_check(realloc(blocks[15], 1 * MIB), "realloc");
}

// mmaps: 18 mmapped chunks of every kind.
void scenario_mmaps(struct arguments arguments) {
  (void)arguments;
  oracle_prepare();
  build_mmaps();
  oracle_print(true);
  wait_until_closed(NULL);
}

void build_foreign_sbrk(struct dice *dice) {
  // An odd and a page-crossing number of bytes, as a program with an allocator of its own takes.
  static const intptr_t taken[] = {100, 12296, 16, 4096};
  for (size_t index = 0; index < 4; index++) {
    history_fill(ledger_open(300), dice, 1, 10000);
    if (sbrk(taken[index]) == (void *)-1) fail("sbrk");
  }
  struct ledger *ledger = ledger_open(600);
  history_fill(ledger, dice, 1, 10000);
  history_populate_bins(ledger, dice);
}

// foreign-sbrk: the program moves the break between malloc's own moves.
void scenario_foreign_sbrk(struct arguments arguments) {
  (void)arguments;
  oracle_prepare();
  struct dice dice = dice_seeded(4);
  build_foreign_sbrk(&dice);
  oracle_print(true);
  wait_until_closed(NULL);
}

void build_blocked_brk(struct dice *dice) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t wall = ((uintptr_t)sbrk(0) + page - 1) & ~(page - 1);
  if (mmap((void *)wall, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
           0) != (void *)wall)
    fail("mmap of the page behind the break");
  for (size_t index = 0; index < 12; index++) {
    struct ledger *ledger = ledger_open(60);
    history_fill(ledger, dice, 30000, 100000);
    for (size_t block = index % 3; block < ledger->capacity; block += 7) {
      free(ledger->blocks[block]);
      ledger->blocks[block] = NULL;
    }
    // A mapping of another protection now and then keeps some segments from being neighbours.
    if (index % 3 == 0 &&
        mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
      fail("mmap of a spacer");
  }
}

// blocked-brk: the break cannot move, so the main arena lives in mmapped segments.
void scenario_blocked_brk(struct arguments arguments) {
  (void)arguments;
  oracle_prepare();
  struct dice dice = dice_seeded(5);
  build_blocked_brk(&dice);
  oracle_print(true);
  wait_until_closed(NULL);
}
