// The blocks that a scenario holds: the truth that a test compares with.
#include "scenario.h"

#include <malloc.h>
#include <sys/mman.h>

// Every scenario's ledgers, in the order of their opening.
static struct ledger ledgers[64];
static size_t ledger_count;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

struct ledger *ledger_open(size_t capacity) {
  pthread_mutex_lock(&opening);
  if (ledger_count == sizeof ledgers / sizeof ledgers[0]) fail("too many ledgers");
  struct ledger *ledger = &ledgers[ledger_count++];
  pthread_mutex_unlock(&opening);
  // Shared, so that the kernel cannot join it with a mapping of malloc's.
  void *memory = mmap(NULL, capacity * sizeof(void *), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap of a ledger");
  ledger->blocks = memory;
  ledger->capacity = capacity;
  return ledger;
}

size_t ledger_held(void) {
  size_t held = 0;
  for (size_t number = 0; number < ledger_count; number++)
    for (size_t index = 0; index < ledgers[number].capacity; index++)
      held += ledgers[number].blocks[index] != NULL;
  return held;
}

void ledger_print(bool with_blocks) {
  uint64_t count = 0;
  uint64_t bytes = 0;
  for (size_t number = 0; number < ledger_count; number++) {
    for (size_t index = 0; index < ledgers[number].capacity; index++) {
      void *block = ledgers[number].blocks[index];
      if (block == NULL) continue;
      size_t usable = malloc_usable_size(block);
      count += 1;
      bytes += usable;
      if (!with_blocks) continue;
      put_text("live ");
      put_hex((uint64_t)(uintptr_t)block);
      put_text(" ");
      put_decimal(usable);
      put_text("\n");
    }
  }
  put_text("held ");
  put_decimal(count);
  put_text(" ");
  put_decimal(bytes);
  put_text("\n");
}

void *no_memory_check(void *block, const char *what) {
  if (block == NULL) fail(what);
  return block;
}
