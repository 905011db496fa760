// How ledgers are filled: random histories, and endings that leave something in every bin.
#include "scenario.h"

#include <malloc.h>
#include <stdlib.h>

static void *new_block(struct dice *dice) {
  size_t size = dice_size(dice);
  switch (dice_below(dice, 10)) {
  case 0:
    return no_memory_check(calloc(1, size), "calloc");
  case 1:
    return no_memory_check(memalign((size_t)32 << dice_below(dice, 6), size), "memalign");
  default:
    return no_memory_check(malloc(size), "malloc");
  }
}

void history_random(struct ledger *ledger, struct dice *dice, size_t operations) {
  for (size_t done = 0; done < operations; done++) {
    void **slot = &ledger->blocks[dice_below(dice, ledger->capacity)];
    uint64_t kind = dice_below(dice, 10);
    if (*slot == NULL) {
      *slot = new_block(dice);
    } else if (kind < 2) {
      *slot = no_memory_check(realloc(*slot, dice_size(dice)), "realloc");
    } else if (kind < 6) {
      free(*slot);
      *slot = NULL;
    } else {
      free(*slot);
      *slot = new_block(dice);
    }
  }
}

// Frees up to `count` blocks of a usable size in low...high, a random walk apart so that few touch.
static void free_some(struct ledger *ledger, struct dice *dice, size_t low, size_t high,
                      size_t count) {
  size_t index = dice_below(dice, ledger->capacity);
  for (size_t tried = 0; tried < ledger->capacity && count > 0; tried++) {
    index = (index + 1) % ledger->capacity;
    void *block = ledger->blocks[index];
    if (block == NULL) continue;
    size_t usable = malloc_usable_size(block);
    if (usable < low || usable > high) continue;
    free(block);
    ledger->blocks[index] = NULL;
    count--;
  }
}

void history_populate_bins(struct ledger *ledger, struct dice *dice) {
  free_some(ledger, dice, 136, 1000, ledger->capacity / 20);
  free_some(ledger, dice, 1100, 60000, ledger->capacity / 50);
  // A request larger than any free chunk sorts the unsorted ones into small and large bins.
  void *sorter = no_memory_check(malloc(120000), "malloc");
  free(sorter);
  // Freed next and not asked for again: they stay unsorted.
  free_some(ledger, dice, 1100, 8000, 16);
  // Small ones last, since freeing a large one may empty the fastbins.
  free_some(ledger, dice, 24, 120, ledger->capacity / 20);
}

void history_fill(struct ledger *ledger, struct dice *dice, size_t low, size_t high) {
  for (size_t index = 0; index < ledger->capacity; index++) {
    if (ledger->blocks[index] != NULL) continue;
    size_t size = low + dice_below(dice, high - low + 1);
    ledger->blocks[index] = no_memory_check(malloc(size), "malloc");
  }
}

// One hole for every HOLE_EVERY blocks in all, so that just the live ones are left.
enum { HOLE_EVERY = 33 };

struct ledger *history_ledger_for(size_t live) {
  return ledger_open(live + live / (HOLE_EVERY - 1));
}

void history_fill_with_holes(struct ledger *ledger, struct dice *dice, size_t low, size_t high) {
  history_fill(ledger, dice, low, high);
  // Apart from each other, so that they do not become one.
  for (size_t hole = 0; hole < ledger->capacity / HOLE_EVERY; hole++) {
    void **slot = &ledger->blocks[hole * HOLE_EVERY + 7];
    free(*slot);
    *slot = NULL;
  }
}
