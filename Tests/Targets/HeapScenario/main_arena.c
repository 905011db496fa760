// Scenarios that use the main arena only, in one contiguous segment.
#include "scenario.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

// main-only [BLOCKS [SEED]]
void scenario_main_only(struct arguments arguments) {
  oracle_prepare();
  size_t capacity = argument_number(arguments, 0, 50000);
  struct dice dice = dice_seeded(argument_number(arguments, 1, 1));
  struct ledger *ledger = ledger_open(capacity);
  history_random(ledger, &dice, capacity * 4);
  history_populate_bins(ledger, &dice);
  oracle_print(true);
  wait_until_closed(NULL);
}

// small10: about 10 MiB in all.
void scenario_small10(struct arguments arguments) {
  (void)arguments;
  oracle_prepare();
  struct dice dice = dice_seeded(10);
  struct ledger *ledger = ledger_open(60000);
  history_fill(ledger, &dice, 1, 320);
  for (size_t index = 0; index < ledger->capacity; index += 20) {
    free(ledger->blocks[index]);
    ledger->blocks[index] = NULL;
  }
  oracle_print(true);
  wait_until_closed(NULL);
}

// million [LIVE]: LIVE live chunks of 170 bytes on average, another 3 % freed between them.
void scenario_million(struct arguments arguments) {
  oracle_prepare();
  struct dice dice = dice_seeded(170);
  struct ledger *ledger = history_ledger_for(argument_number(arguments, 0, 1000000));
  history_fill_with_holes(ledger, &dice, 1, 310);
  oracle_print(false);
  wait_until_closed(NULL);
}

// fastbins [COUNT]: COUNT free chunks in the fastbins, in shuffled order, a few live between them.
void scenario_fastbins(struct arguments arguments) {
  oracle_prepare();
  size_t count = argument_number(arguments, 0, 120000);
  struct dice dice = dice_seeded(7);
  struct ledger *ledger = ledger_open(count + count / 8);
  history_fill(ledger, &dice, 1, 120);
  for (size_t index = ledger->capacity; index > 1; index--) {
    size_t other = dice_below(&dice, index);
    void *block = ledger->blocks[index - 1];
    ledger->blocks[index - 1] = ledger->blocks[other];
    ledger->blocks[other] = block;
  }
  for (size_t index = 0; index < count; index++) {
    free(ledger->blocks[index]);
    ledger->blocks[index] = NULL;
  }
  oracle_print(true);
  wait_until_closed(NULL);
}

void build_trim_holes(struct dice *dice) {
  struct ledger *ledger = ledger_open(4000);
  for (size_t index = 0; index < ledger->capacity; index++) {
    size_t size = 1 + dice_below(dice, 12000);
    // Written to, so that malloc_trim has resident pages to give back.
    ledger->blocks[index] = memset(no_memory_check(malloc(size), "malloc"), 0x5a, size);
  }
  for (size_t index = 0; index < ledger->capacity; index++) {
    if (index % 16 == 0 || dice_below(dice, 16) == 0) continue;
    free(ledger->blocks[index]);
    ledger->blocks[index] = NULL;
  }
  malloc_trim(0);
}

// trim: free chunks whose inner pages malloc_trim has given back.
void scenario_trim(struct arguments arguments) {
  (void)arguments;
  oracle_prepare();
  struct dice dice = dice_seeded(3);
  build_trim_holes(&dice);
  struct ledger *ledger = ledger_open(500);
  history_fill(ledger, &dice, 1, 3000);
  oracle_print(true);
  wait_until_closed(NULL);
}
