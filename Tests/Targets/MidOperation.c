// MidOperation THREADS: threads that do nothing but allocate, resize and free, and a table of what
// they hold that can be read at any instant.
//
// Prints `table ADDRESS THREADS SLOTS`, then `ready PID`, and goes on until standard input is closed.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_THREADS = 16, SLOTS = 400, MAILBOXES = 64 };

// What a slot's block is while nobody changes it; a thread changes one slot at a time.
enum { EMPTY, HELD, CHANGING };

struct slot {
  void *block;
  size_t requested;
  size_t usable;
  _Atomic uint64_t state;
};

static struct slot slots[MOST_THREADS][SLOTS];
// Blocks on their way from one thread to another, which frees them.
static void *_Atomic mailboxes[MAILBOXES];
static atomic_bool ends;
// Threads that have every slot filled once.
static _Atomic unsigned filled;

static uint64_t roll(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state >> 11;
}

static size_t any_size(uint64_t *dice) {
  uint64_t kind = roll(dice) % 1000;
  if (kind < 600) return 1 + roll(dice) % 200;
  if (kind < 900) return 1 + roll(dice) % 3000;
  if (kind < 997) return 1 + roll(dice) % 20000;
  return 1 + roll(dice) % 300000;
}

static void *new_block(uint64_t *dice, size_t size) {
  if (roll(dice) % 10 == 0) return memalign((size_t)32 << roll(dice) % 6, size);
  return malloc(size);
}

static void change(struct slot *slot, uint64_t *dice) {
  uint64_t kind = roll(dice) % 10;
  size_t size = any_size(dice);
  void *block = slot->block;
  atomic_store(&slot->state, CHANGING);
  if (block == NULL) {
    block = new_block(dice, size);
  } else if (kind < 2) {
    block = realloc(block, size);
  } else if (kind < 6) {
    free(block);
    block = NULL;
  } else if (kind == 6) {
    free(atomic_exchange(&mailboxes[roll(dice) % MAILBOXES], block));
    block = NULL;
  } else {
    free(block);
    block = new_block(dice, size);
  }
  slot->block = block;
  slot->requested = size;
  slot->usable = malloc_usable_size(block);
  atomic_store(&slot->state, block == NULL ? EMPTY : HELD);
}

static void *body(void *argument) {
  struct slot *mine = slots[(uintptr_t)argument];
  uint64_t dice = 0x9e3779b97f4a7c15u * ((uintptr_t)argument + 1);
  for (size_t index = 0; index < SLOTS * 4; index++) change(&mine[index % SLOTS], &dice);
  atomic_fetch_add(&filled, 1);
  while (!atomic_load_explicit(&ends, memory_order_relaxed))
    change(&mine[roll(&dice) % SLOTS], &dice);
  return NULL;
}

static void *wait_for_the_end(void *argument) {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  atomic_store(&ends, true);
  return argument;
}

int main(int count, char **values) {
  unsigned long threads = count > 1 ? strtoul(values[1], NULL, 10) : 1;
  if (threads == 0 || threads > MOST_THREADS) return 64;
  char text[128];
  int length = snprintf(text, sizeof text, "table %p %lu %d\n", (void *)slots, threads, SLOTS);
  if (write(STDOUT_FILENO, text, (size_t)length) != length) return 74;
  // With one thread malloc takes no locks: then nobody waits, and closing the input ends nothing.
  pthread_t others[MOST_THREADS];
  if (threads == 1) {
    length = snprintf(text, sizeof text, "ready %d\n", (int)getpid());
    if (write(STDOUT_FILENO, text, (size_t)length) != length) return 74;
    body((void *)0);
    return 0;
  }
  for (uintptr_t index = 1; index < threads; index++)
    if (pthread_create(&others[index], NULL, body, (void *)index) != 0) return 71;
  pthread_t waiter;
  if (pthread_create(&waiter, NULL, wait_for_the_end, NULL) != 0) return 71;
  length = snprintf(text, sizeof text, "ready %d\n", (int)getpid());
  if (write(STDOUT_FILENO, text, (size_t)length) != length) return 74;
  body((void *)0);
  for (uintptr_t index = 1; index < threads; index++) pthread_join(others[index], NULL);
  return 0;
}
