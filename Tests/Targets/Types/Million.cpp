// A million blocks of random bytes and of old objects, partly written over, of a class with no object.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <vector>

namespace app {
struct Gone {
  virtual ~Gone() {}
  long values[20] = {1, 2, 3};
};
} // namespace app

// xorshift64: the same in each run.
static unsigned long state = 88172645463325252;
static unsigned long number() {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

int main() {
  // What is joined to the top stays there, with what was in it.
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  std::vector<void *> blocks;
  blocks.reserve(1000000);
  // Random bytes, in memory that held none before.
  while (blocks.size() < 500000) {
    size_t size = 24 + number() % 8 * 16;
    unsigned long *words = static_cast<unsigned long *>(malloc(size));
    for (size_t index = 0; index < size / 8; index++)
      words[index] = number();
    blocks.push_back(words);
  }
  // What was an object, one way and the other, is joined to what is before it and taken in other sizes.
  std::vector<app::Gone *> objects;
  for (int count = 0; count < 400000; count++)
    objects.push_back(new app::Gone);
  for (size_t index = 0; index < objects.size(); index += 2)
    delete objects[index];
  for (size_t index = objects.size() - 1; index < objects.size(); index -= 2)
    delete objects[index];
  objects = {};
  static const size_t sizes[] = {24, 40, 72, 104, 136, 152, 200, 216};
  while (blocks.size() < 1000000) {
    size_t size = sizes[number() % 8];
    char *bytes = static_cast<char *>(malloc(size));
    // Nothing, the beginning, the end or all but the first word is written.
    switch (number() % 4) {
    case 0: break;
    case 1: memset(bytes, 'a', number() % 8 + 1); break;
    case 2: memset(bytes + size / 2, 0, size / 2); break;
    case 3:
      for (size_t index = 8; index + 8 <= size; index += 8) {
        unsigned long word = number();
        memcpy(bytes + index, &word, 8);
      }
    }
    blocks.push_back(bytes);
  }
  puts("ready");
  fflush(stdout);
  getchar();
}
