// As many objects of each class as it says, among plenty of other memory, old objects and noise.
//
// With an argument it first makes and destroys objects of sizes at which glibc leaves their first words as
// they were, and hands their memory out again in pieces of other sizes that it does not write.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace app {
struct Session {
  virtual ~Session() {}
  long values[5] = {1, 2, 3, 4, 5};
};
struct Request : Session {
  long more[20] = {};
};
struct Readable {
  virtual ~Readable() {}
  virtual int read() { return 1; }
  long a = 1;
};
struct Writable {
  virtual ~Writable() {}
  virtual int write() { return 2; }
  long b = 2;
};
struct Stream : Readable, Writable {
  long c = 3;
};
struct Base {
  virtual ~Base() {}
  long d = 4;
};
struct Virtual : virtual Base {
  long e = 5;
};
template <typename Key, typename Value> struct Cache {
  virtual ~Cache() {}
  Key key{};
  Value value{};
};
struct Gone {
  virtual ~Gone() {}
  long values[30] = {};
};
} // namespace app

namespace {
struct Hidden {
  virtual ~Hidden() {}
  long f = 6;
};
} // namespace

static uint64_t state = 88172645463325252u;
static uint64_t noise() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static std::vector<void *> kept;

template <typename Type> static void plant(int count, const char *name) {
  for (int index = 0; index < count; index++) {
    kept.push_back(new Type);
    size_t size = 16 + noise() % 300;
    auto *words = static_cast<uint64_t *>(malloc(size));
    for (size_t word = 0; word < size / 8; word++) words[word] = noise();
    kept.push_back(words);
    if (index % 3 == 0) kept.push_back(strdup("a text between the objects"));
  }
  printf("planted %d %s\n", count, name);
}

int main(int argc, char **) {
  using Numbers = app::Cache<int, std::vector<double>>;
  using Names = app::Cache<std::string, int>;
  if (argc > 1) {
    std::vector<app::Gone *> gone;
    for (int index = 0; index < 5000; index++) gone.push_back(new app::Gone);
    for (auto *object : gone) delete object;
    for (int index = 0; index < 5000; index++) kept.push_back(malloc(300 + noise() % 900));
  }
  plant<app::Session>(1000, "app::Session");
  plant<app::Request>(333, "app::Request");
  plant<app::Stream>(250, "app::Stream");
  plant<app::Virtual>(77, "app::Virtual");
  plant<Numbers>(123, "app::Cache<int, std::vector<double, std::allocator<double> > >");
  plant<Names>(45,
               "app::Cache<std::__cxx11::basic_string<char, std::char_traits<char>, "
               "std::allocator<char> >, int>");
  plant<Hidden>(67, "(anonymous namespace)::Hidden");
  for (int index = 0; index < 20; index++) kept.push_back(new app::Session[3 + index]);
  printf("planted 20 app::Session[]\n");
  // Half of what is given back is taken again, so that there is memory that was an object before.
  for (int index = 0; index < 500; index++) delete new app::Request;
  puts("ready");
  fflush(stdout);
  getchar();
  // A program that never uses a class may lose it.
  return argc > 100 ? static_cast<int>(reinterpret_cast<intptr_t>(new app::Gone)) : 0;
}
