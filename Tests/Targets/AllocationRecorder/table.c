// A hash table of live allocations in a shared mapping of a file.
#define _GNU_SOURCE
#include "table.h"

#include "AllocationRecorder.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_CAPACITY_LOG2 = 20, LEAST_CAPACITY_LOG2 = 10, MOST_CAPACITY_LOG2 = 28 };

static struct record_header *header;
static struct record_entry *entries;
// A page of its own that the kernel clears in a forked child: non-zero means that we record.
static _Atomic uint32_t *recording;

static bool set_up(const char *path, unsigned capacity_log2) {
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return false;
  struct stat status;
  struct record_header existing = {.pid = 0};
  if (fstat(file, &status) != 0) goto refuse;
  // Ours to begin if it is empty, ours to begin anew after an exec; otherwise another process's.
  if (status.st_size != 0 && (pread(file, &existing, sizeof existing, 0) != sizeof existing ||
                              existing.pid != getpid()))
    goto refuse;
  uint64_t capacity = (uint64_t)1 << capacity_log2;
  size_t byte_count = RECORD_HEADER_BYTES + capacity * sizeof(struct record_entry);
  // Emptied first, so that whatever an earlier image of this process recorded is gone.
  if (ftruncate(file, 0) != 0 || ftruncate(file, (off_t)byte_count) != 0) goto refuse;
  void *memory = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) goto refuse;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  void *flag = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (flag == MAP_FAILED || madvise(flag, page, MADV_WIPEONFORK) != 0) goto refuse;
  close(file);
  header = memory;
  entries = (struct record_entry *)((char *)memory + RECORD_HEADER_BYTES);
  header->version = RECORD_VERSION;
  header->pid = getpid();
  header->capacity = capacity;
  memcpy(header->magic, "MSRECORD", sizeof header->magic);
  recording = flag;
  atomic_store(recording, 1);
  return true;
refuse:
  close(file);
  return false;
}

// The value of `name` in the environment that the process was started with.
//
// getenv would not do: the first allocations come before the C library knows its environment.
static bool initial_environment(const char *name, char *value, size_t capacity) {
  static char chunk[4096];
  int file = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  size_t name_length = strlen(name);
  // How much of `name=` the current variable has matched; more than that means in its value.
  size_t matched = 0;
  bool mismatched = false;
  size_t length = 0;
  bool found = false;
  ssize_t count;
  while (!found && (count = read(file, chunk, sizeof chunk)) > 0) {
    for (ssize_t index = 0; index < count && !found; index++) {
      char byte = chunk[index];
      if (byte == 0) {
        found = !mismatched && matched > name_length;
        if (!found) matched = 0, mismatched = false, length = 0;
      } else if (!mismatched && matched > name_length) {
        if (length + 1 < capacity) value[length++] = byte;
      } else {
        char wanted = matched < name_length ? name[matched] : '=';
        if (byte == wanted) matched++;
        else mismatched = true;
      }
    }
  }
  close(file);
  value[length] = 0;
  return found && length > 0;
}

static void begin(void) {
  static char path[4096];
  char number[8];
  unsigned capacity_log2 = DEFAULT_CAPACITY_LOG2;
  if (initial_environment("MALLOSCOPE_RECORD_LOG2", number, sizeof number)) {
    capacity_log2 = 0;
    for (const char *digit = number; *digit >= '0' && *digit <= '9'; digit++)
      capacity_log2 = capacity_log2 * 10 + (unsigned)(*digit - '0');
    if (capacity_log2 < LEAST_CAPACITY_LOG2) capacity_log2 = LEAST_CAPACITY_LOG2;
    if (capacity_log2 > MOST_CAPACITY_LOG2) capacity_log2 = MOST_CAPACITY_LOG2;
  }
  if (initial_environment("MALLOSCOPE_RECORD", path, sizeof path)) set_up(path, capacity_log2);
}

// Whether this process records, deciding it at the first call.
static bool is_recording(void) {
  static _Atomic int state;
  enum { UNDECIDED, DECIDING, DECIDED };
  int seen = atomic_load_explicit(&state, memory_order_acquire);
  if (seen != DECIDED) {
    int saved = errno;
    int expected = UNDECIDED;
    if (atomic_compare_exchange_strong(&state, &expected, DECIDING)) {
      begin();
      atomic_store_explicit(&state, DECIDED, memory_order_release);
    } else {
      while (atomic_load_explicit(&state, memory_order_acquire) != DECIDED) sched_yield();
    }
    errno = saved;
  }
  return recording != NULL && atomic_load_explicit(recording, memory_order_relaxed) != 0;
}

static void lock_table(void) {
  _Atomic uint32_t *lock = (_Atomic uint32_t *)&header->lock;
  for (unsigned tries = 1; atomic_exchange_explicit(lock, 1, memory_order_acquire) != 0; tries++)
    if (tries % 64 == 0) sched_yield();
  atomic_fetch_add((_Atomic uint64_t *)&header->sequence, 1);
}

static void unlock_table(void) {
  atomic_fetch_add((_Atomic uint64_t *)&header->sequence, 1);
  atomic_store_explicit((_Atomic uint32_t *)&header->lock, 0, memory_order_release);
}

// Where the search for `address` begins. The product's high bits depend on all of the address.
static uint64_t home_of(uint64_t address) {
  return (address >> 4) * 0x9e3779b97f4a7c15u >> 20 & (header->capacity - 1);
}

// The entry that holds `address`, or the empty one where it would go.
static uint64_t entry_for(uint64_t address) {
  uint64_t mask = header->capacity - 1;
  uint64_t index = home_of(address);
  while (entries[index].address != 0 && entries[index].address != address)
    index = (index + 1) & mask;
  return index;
}

void table_add(void *block) {
  if (block == NULL || !is_recording()) return;
  uint64_t address = (uint64_t)(uintptr_t)block;
  uint64_t usable = malloc_usable_size(block);
  lock_table();
  // One entry in eight stays empty, so that every search ends.
  if (header->live >= header->capacity / 8 * 7) {
    header->lost++;
  } else {
    uint64_t index = entry_for(address);
    header->live += entries[index].address == 0;
    entries[index] = (struct record_entry){address, usable};
  }
  unlock_table();
}

// Empties the entry at `hole` and moves later ones back, so that no search meets a gap too early.
static void close_gap(uint64_t hole) {
  uint64_t mask = header->capacity - 1;
  for (uint64_t index = (hole + 1) & mask; entries[index].address != 0;
       index = (index + 1) & mask) {
    uint64_t distance_from_home = (index - home_of(entries[index].address)) & mask;
    if (distance_from_home < ((index - hole) & mask)) continue;
    entries[hole] = entries[index];
    hole = index;
  }
  entries[hole] = (struct record_entry){0, 0};
}

void table_remove(void *block) {
  if (block == NULL || !is_recording()) return;
  lock_table();
  uint64_t index = entry_for((uint64_t)(uintptr_t)block);
  if (entries[index].address == 0) {
    header->unknown_frees++;
  } else {
    close_gap(index);
    header->live--;
  }
  unlock_table();
}
