// What loaded_server knows of its own heap, and how it is asked for it.
#pragma once

#include <atomic>
#include <cstdio>
#include <malloc.h>
#include <unistd.h>

/// What the program has done so far; the rest of its answer is what glibc counts.
struct Figures {
  std::atomic<size_t> requests{0};
  /// Blocks that nothing will ever free, and the bytes that were asked for.
  std::atomic<size_t> leaked_nodes{0}, leaked_bytes{0};
  /// Blocks that are held for a while or to the end, and the bytes that were asked for.
  std::atomic<size_t> held_blocks{0}, held_bytes{0};
};
inline Figures figures;

/// Writes a line of JSON, without allocating.
inline void answer(const char *mode) {
  // Sums over all arenas. What is in a thread's cache counts as in use.
  const struct mallinfo2 info = mallinfo2();
  char line[600];
  const int length =
      snprintf(line, sizeof line,
               "{\"mode\": \"%s\", \"requests\": %zu, \"leaked_nodes\": %zu, "
               "\"leaked_bytes\": %zu, \"held_blocks\": %zu, \"held_bytes\": %zu, "
               "\"arena\": %zu, \"uordblks\": %zu, \"fordblks\": %zu, \"keepcost\": %zu, "
               "\"hblks\": %zu, \"hblkhd\": %zu}\n",
               mode, figures.requests.load(), figures.leaked_nodes.load(),
               figures.leaked_bytes.load(), figures.held_blocks.load(), figures.held_bytes.load(),
               info.arena, info.uordblks, info.fordblks, info.keepcost, info.hblks, info.hblkhd);
  if (write(1, line, length) != length) _exit(1);
}

/// Reads what is on standard input, answers each line, and returns false at its end.
inline bool read_questions(const char *mode) {
  char asked[256];
  const ssize_t count = read(0, asked, sizeof asked);
  for (ssize_t index = 0; index < count; index++)
    if (asked[index] == '\n') answer(mode);
  return count > 0;
}
