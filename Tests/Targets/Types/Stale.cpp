// Memory that was full of objects, given back, taken again in blocks that nothing was written to.

#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <vector>

namespace app {
struct Gone {
  virtual ~Gone() {}
  long values[20] = {1, 2, 3};
};
} // namespace app

static void announce(const char *name, const void *block) {
  printf("object %p %zu %s\n", block, malloc_usable_size(const_cast<void *>(block)), name);
}

// With "one": blocks of one size, which is not the objects'.
int main(int argc, char **arguments) {
  bool is_one = argc > 1 && *arguments[1] == 'o';
  // What is joined to the top stays there, with what was in it.
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  std::vector<app::Gone *> objects;
  for (int count = 0; count < 20000; count++)
    objects.push_back(new app::Gone);
  // From the last to the first and the other way round, so that some are joined to the block before
  // them, and some to the top.
  for (size_t index = 0; index < objects.size(); index += 2)
    delete objects[index];
  for (size_t index = objects.size() - 1; index < objects.size(); index -= 2)
    delete objects[index];
  objects = {};
  static const size_t sizes[] = {24, 40, 72, 136, 152, 184, 200, 328, 504, 1000, 1048};
  for (int count = 0; count < 12000; count++) {
    size_t size = is_one ? 504 : sizes[rand() % 11];
    announce("unwritten", malloc(size));
  }
  puts("ready");
  fflush(stdout);
  getchar();
}
