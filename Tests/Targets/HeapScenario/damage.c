// Heaps that a bug has written over. Nothing is allocated or freed after the damage is done.
#include "scenario.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void overwrite(uint64_t *word, uint64_t value) {
  *word = value;
  put_text("damaged ");
  put_hex((uint64_t)(uintptr_t)word);
  put_text(" ");
  put_hex(value);
  put_text("\n");
}

// The two words in front of a block are its chunk's header.
static uint64_t *header_of(void *block) { return (uint64_t *)block - 2; }

// The size word of the top chunk, found by walking there from a live block.
static uint64_t *top_size_after(void *block) {
  uint64_t *chunk = header_of(block);
  uint64_t *end = sbrk(0);
  for (;;) {
    uint64_t *next = chunk + (chunk[1] & ~(uint64_t)7) / sizeof(uint64_t);
    if (next >= end) return &chunk[1];
    chunk = next;
  }
}

static void damage_randomly(void *first_block, uint64_t seed) {
  struct dice dice = dice_seeded(seed);
  uint64_t *start = header_of(first_block);
  uint64_t words = (uint64_t)((uint64_t *)sbrk(0) - start);
  for (size_t done = 0; done < 2000; done++) {
    uint64_t *word = start + dice_below(&dice, words);
    // Half of them plausible sizes, since those lead a walker furthest astray.
    uint64_t value = dice_roll(&dice) << 11 ^ dice_roll(&dice);
    overwrite(word, dice_below(&dice, 2) == 0 ? value : (value & 0xfff7));
  }
}

// damaged KIND [SEED], of a heap whose figures were taken before the damage.
void scenario_damaged(struct arguments arguments) {
  if (arguments.count < 1) fail("damaged needs a kind");
  const char *kind = arguments.values[0];
  oracle_prepare();
  struct dice dice = dice_seeded(6);
  struct ledger *ledger = ledger_open(3000);
  history_fill(ledger, &dice, 1, 800);
  // Volatile, since the compiler knows that a freed block must not be written to; we do just that.
  void *volatile cached = no_memory_check(malloc(72), "malloc");
  void *volatile binned = no_memory_check(malloc(3000), "malloc");
  void **guard = ledger_open(1)->blocks;
  guard[0] = no_memory_check(malloc(64), "malloc");
  void *victim = ledger->blocks[1500];
  free(cached);
  free(binned);
  oracle_print(true);

  if (strcmp(kind, "header") == 0) {
    overwrite(header_of(victim), 0x4141414141414141);
    overwrite(header_of(victim) + 1, 0x4141414141414141);
  } else if (strcmp(kind, "size") == 0) {
    overwrite(header_of(victim) + 1, (malloc_usable_size(victim) + 8 + 0x1230) | 1);
  } else if (strcmp(kind, "tcache") == 0) {
    overwrite(cached, 0x4242424242424242);
  } else if (strcmp(kind, "bin") == 0) {
    overwrite(binned, 0x4343434343434343);
  } else if (strcmp(kind, "top") == 0) {
    overwrite(top_size_after(guard[0]), ~(uint64_t)0);
  } else if (strcmp(kind, "random") == 0) {
    damage_randomly(ledger->blocks[0], argument_number(arguments, 1, 1));
  } else {
    fail("no damage of that kind");
  }
  wait_until_closed(NULL);
}
