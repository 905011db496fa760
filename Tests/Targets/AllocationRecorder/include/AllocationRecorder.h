// The file in which the preloaded recorder keeps every live allocation of a process.
//
// The library is loaded through LD_PRELOAD and given a path in the environment variable
// MALLOSCOPE_RECORD. It records only into a file that does not exist yet or that the same process
// wrote before an exec; so of a family of processes that inherit the variable, the first records
// and the others run unrecorded. A forked child does not record.
//
// The file is one header and then `capacity` entries; an entry whose address is 0 is empty. A copy
// is consistent if `sequence` is even and the same before and after.
#ifndef ALLOCATION_RECORDER_H
#define ALLOCATION_RECORDER_H

#include <stdint.h>

enum { RECORD_VERSION = 1, RECORD_HEADER_BYTES = 4096 };

struct record_header {
  // "MSRECORD".
  char magic[8];
  uint32_t version;
  int32_t pid;
  // Number of entries; a power of two.
  uint64_t capacity;
  // Odd while the table is being changed.
  uint64_t sequence;
  uint64_t live;
  // Allocations that found no free entry.
  uint64_t lost;
  // Frees of an address that was not in the table.
  uint64_t unknown_frees;
  // Held by the thread that changes the table.
  uint32_t lock;
};

struct record_entry {
  uint64_t address;
  uint64_t usable;
};

#endif
