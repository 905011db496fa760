// What loaded_server does for each request: the ways in which a heap grows, or does not.
#pragma once

#include "figures.h"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

/// Some memory whose every byte is written, so that it is resident.
inline void *filled(size_t size) {
  void *block = malloc(size);
  if (block == nullptr) abort();
  memset(block, 1, size);
  // Otherwise the compiler may leave out a malloc that is only freed.
  asm volatile("" : : "r"(block) : "memory");
  return block;
}

/// Random numbers of its own for each thread.
class Random {
public:
  explicit Random(unsigned seed) : state(seed * 2654435761u + 1) {}
  size_t between(size_t low, size_t high) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return low + (state >> 33) % (high - low + 1);
  }

private:
  unsigned long state;
};

/// 40 bytes, and so a chunk of 48.
struct Node {
  Node *next;
  char text[32];
};
static_assert(sizeof(Node) == 40, "a node must become a chunk of 48 bytes");

/// Keeps a node for ever.
inline void leak(Node *&kept) {
  Node *node = static_cast<Node *>(filled(sizeof(Node)));
  node->next = kept;
  kept = node;
  figures.leaked_nodes++;
  figures.leaked_bytes += sizeof(Node);
}

/// Allocates some blocks, and frees them all.
inline void work_steadily(Random &random) {
  void *blocks[8];
  for (void *&block : blocks) block = filled(random.between(16, 4000));
  for (void *block : blocks) free(block);
}

/// The newest sessions, as many as there is room for: a ring that begins full.
///
/// A session has two buffers, and both are cut down to what was needed. What is cut off the first
/// stays free between the two and is always too small for the next buffer. So each session takes
/// new memory from the system although another goes that is just as large. That ends when the ring
/// has come round once, since the sessions that go then free whole areas.
class Sessions {
public:
  void fill() {
    ring.resize(capacity);
    for (Session &session : ring) session = {filled(session_size), filled(session_size)};
    figures.held_blocks = 2 * capacity;
    figures.held_bytes = 2 * capacity * session_size;
  }

  void replace() {
    Session session{filled(buffer_size), filled(buffer_size)};
    session.input = realloc(session.input, session_size);
    session.output = realloc(session.output, session_size);
    std::lock_guard<std::mutex> guard(mutex);
    free(ring[oldest].input);
    free(ring[oldest].output);
    ring[oldest] = session;
    oldest = (oldest + 1) % capacity;
  }

private:
  struct Session {
    void *input, *output;
  };
  static constexpr size_t buffer_size = 4096, session_size = 64, capacity = 100'000;

  std::vector<Session> ring;
  size_t oldest = 0;
  std::mutex mutex;
};

/// Allocates 200 MB in small blocks and frees all but one of a thousand.
///
/// Those that stay lie all over the heap, and so none of it goes back to the system.
inline void burst(Random &random) {
  const size_t wanted = 200'000'000;
  std::vector<void *> blocks;
  blocks.reserve(wanted / 500);
  size_t total = 0;
  while (total < wanted) {
    const size_t size = random.between(200, 1000);
    blocks.push_back(filled(size));
    total += size;
  }
  for (size_t index = 0; index < blocks.size(); index++) {
    if (index % 1000 == 999 || index + 1 == blocks.size()) {
      figures.held_blocks++;
      figures.held_bytes += malloc_usable_size(blocks[index]);
    } else {
      free(blocks[index]);
    }
  }
}

/// Replaces random blocks by others of random sizes for ever, at full speed.
[[noreturn]] inline void churn(unsigned seed) {
  const size_t count = 2000;
  Random random(seed);
  std::vector<void *> blocks(count);
  for (void *&block : blocks) block = filled(random.between(16, 2000));
  figures.held_blocks += count;
  while (true) {
    void *&block = blocks[random.between(0, count - 1)];
    free(block);
    block = filled(random.between(16, 2000));
  }
}

/// Holds so many MiB of small blocks.
inline void hold(size_t mebibytes) {
  const size_t wanted = mebibytes << 20;
  Random random(1);
  while (figures.held_bytes < wanted) {
    const size_t size = random.between(16, 512);
    // Nothing leads to them afterwards: they are held for as long as the program runs.
    filled(size);
    figures.held_blocks++;
    figures.held_bytes += size;
  }
}
