// A million objects of ten thousand classes, of 170 bytes on average with malloc's headers.
//
// With a number as argument, so many objects.

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>

static const size_t classCount = 10000;

struct Object {
  virtual ~Object() {}
  virtual int number() const = 0;
};

template <size_t Index> struct Class : Object {
  int number() const override { return static_cast<int>(Index); }
  // Sizes from 40 to 280 bytes, so that chunks have 48 to 288.
  char filling[32 + Index % 31 * 8];
};

template <size_t Index> static Object *make() { return new Class<Index>; }

template <size_t... Indices>
static Object *(*const *factories(std::index_sequence<Indices...>))() {
  static Object *(*const all[])() = {make<Indices>...};
  return all;
}

int main(int argc, char **argv) {
  size_t count = argc > 1 ? strtoul(argv[1], nullptr, 10) : 1000000;
  auto all = factories(std::make_index_sequence<classCount>());
  auto objects = static_cast<Object **>(malloc(count * sizeof(Object *)));
  for (size_t index = 0; index < count; index++) {
    objects[index] = all[index * 7919 % classCount]();
    // Some bytes of each, so that its pages are there.
    reinterpret_cast<char *>(objects[index])[8] = static_cast<char>(index);
  }
  printf("ready %zu\n", count);
  fflush(stdout);
  getchar();
}
