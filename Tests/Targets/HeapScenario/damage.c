// Heaps that a bug has written over. Nothing is allocated or freed after the damage is done.
#include "scenario.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
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

static void put_block(const char *name, void *block) {
  put_text(name);
  put_text(" ");
  put_hex((uint64_t)(uintptr_t)block);
  put_text("\n");
}

// Bugs as programs have them, each in blocks of its own; every block that matters is named. Volatile
// where the compiler would see the bug and leave it out.

// A string that is longer than its block, into the next block.
static void run_over(size_t size, size_t length) {
  char *block = no_memory_check(malloc(size), "malloc");
  char *next = no_memory_check(malloc(size), "malloc");
  memset(next, 0, size);
  put_block("block", block);
  put_block("next", next);
  char *volatile end = block;
  for (size_t done = 0; done < length; done++) *end++ = (char)('a' + done % 26);
}

// A string that fills its block, with its NUL one byte behind. Blocks of 0xf8 bytes have chunks of
// 0x100 bytes, of which the NUL takes only the flags; the others lose part of their size.
static void end_one_too_far(size_t size, size_t next_size) {
  char *block = no_memory_check(malloc(size), "malloc");
  char *next = no_memory_check(malloc(next_size), "malloc");
  memset(next, 'n', next_size);
  put_block("block", block);
  put_block("next", next);
  memset(block, 'x', size);
  char *volatile end = block + size;
  *end = 0;
}

static atomic_bool is_freed;

static void *free_block_and_wait(void *block) {
  free(block);
  atomic_store(&is_freed, true);
  for (;;) pause();
}

// The word behind the link tells glibc 2.29 and later that a block is in a tcache.
static void write_after_free(uint64_t *volatile block, uint64_t link, uint64_t key) {
  block[0] = link;
  block[1] = key;
}

static void free_twice(void) {
  uint64_t *volatile block = no_memory_check(malloc(40), "malloc");
  put_block("block", block);
  free(block);
  block[1] = 0;
  free(block);
}

// Each thread looks only through its own cache.
static void free_in_two_threads(void) {
  void *volatile block = no_memory_check(malloc(40), "malloc");
  put_block("block", block);
  pthread_t thread;
  start_thread(&thread, free_block_and_wait, block);
  while (!atomic_load(&is_freed)) sched_yield();
  free(block);
}

// Into a fastbin, since the tcache is full, and into the tcache when it has room again.
static void free_into_two_lists(void) {
  void *blocks[8];
  for (size_t place = 0; place < 8; place++) {
    blocks[place] = no_memory_check(malloc(40), "malloc");
  }
  void *volatile block = blocks[7];
  put_block("block", block);
  for (size_t place = 0; place < 8; place++) free(blocks[place]);
  no_memory_check(malloc(40), "malloc");
  free(block);
}

static void write_to_cached(uint64_t link) {
  uint64_t *block = no_memory_check(malloc(40), "malloc");
  put_block("block", block);
  free(block);
  write_after_free(block, link, link);
}

static void write_to_fastbin(void) {
  void *blocks[8];
  for (size_t place = 0; place < 8; place++) {
    blocks[place] = no_memory_check(malloc(40), "malloc");
  }
  put_block("block", blocks[7]);
  for (size_t place = 0; place < 8; place++) free(blocks[place]);
  write_after_free(blocks[7], 0x6b6e696c20646c6f, 0);
}

static bool have_bug(const char *kind) {
  if (strcmp(kind, "overflow") == 0) run_over(40, 70);
  else if (strcmp(kind, "nul") == 0) end_one_too_far(0xe8, 0xf8);
  else if (strcmp(kind, "nul-in-size") == 0) end_one_too_far(0xe8, 0x138);
  else if (strcmp(kind, "twice") == 0) free_twice();
  else if (strcmp(kind, "two-threads") == 0) free_in_two_threads();
  else if (strcmp(kind, "two-lists") == 0) free_into_two_lists();
  else if (strcmp(kind, "cached-text") == 0) write_to_cached(0x6b6e696c20646c6f);
  else if (strcmp(kind, "fastbin-text") == 0) write_to_fastbin();
  else return false;
  return true;
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
  if (have_bug(kind)) {
    wait_until_closed(NULL);
    return;
  }
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
