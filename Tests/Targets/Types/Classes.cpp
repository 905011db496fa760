// Objects of C++ classes of every sort, each of which is announced with what it should be called.

#include <cstdio>
#include <list>
#include <malloc.h>
#include <memory>
#include <vector>

#ifdef NO_RTTI
#define NAME(type) #type
#else
#include <typeinfo>
#define NAME(type) typeid(type).name()
#endif

namespace app {
struct Session {
  virtual ~Session() {}
  virtual int number() const { return id; }
  long id = 7;
};
struct Special : Session {
  int number() const override { return 2; }
  long more[10] = {};
};
struct Left {
  virtual ~Left() {}
  virtual int left() const { return 1; }
  long a = 1;
};
struct Right {
  virtual ~Right() {}
  virtual int right() const { return 2; }
  long b = 2;
};
struct Both : Left, Right {
  int right() const override { return 3; }
  long c = 3;
};
struct VirtualLeft : virtual Left {
  long d = 4;
};
struct VirtualRight : virtual Left {
  long e = 5;
};
struct Diamond : VirtualLeft, VirtualRight {
  long f = 6;
};
struct Marker {};
struct Empty : virtual Marker {
  long g = 1;
};
template <typename Value> struct Holder {
  virtual ~Holder() {}
  Value value{};
};
struct Abstract {
  virtual int run() const = 0;
  virtual ~Abstract() {}
};
struct Concrete : Abstract {
  int run() const override { return 1; }
};
struct Plain {
  long first = 1;
  long second = 2;
};
struct AfterPlain : Plain, Session {};
} // namespace app

namespace {
struct Hidden {
  virtual ~Hidden() {}
  long h = 8;
};
} // namespace

#ifdef WITH_LIBRARY
namespace library {
struct Thing {
  virtual ~Thing();
  virtual int thing() const;
  long t = 9;
};
} // namespace library
#endif

static void announce(const char *name, const char *suffix, const void *object) {
  // An object with a virtual base is not where the chunk is, nor is an array behind its count.
  printf("object %p %zu %s%s\n", object, malloc_usable_size(const_cast<void *>(object)), name,
         suffix);
}

#define MAKE(type) announce(NAME(type), "", new type)

int main() {
  for (int count = 0; count < 3; count++) {
    MAKE(app::Session);
    MAKE(app::Special);
    MAKE(app::Both);
    MAKE(app::Diamond);
    MAKE(app::Empty);
    MAKE(app::Concrete);
    MAKE(app::AfterPlain);
    MAKE(Hidden);
  }
  using IntHolder = app::Holder<int>;
  using TextHolder = app::Holder<std::vector<const char *>>;
  MAKE(IntHolder);
  MAKE(TextHolder);
  struct Local {
    virtual ~Local() {}
  };
  MAKE(Local);
#ifdef WITH_LIBRARY
  MAKE(library::Thing);
#endif
  auto *array = new app::Session[5];
  announce(NAME(app::Session), "[]", reinterpret_cast<const char *>(array) - sizeof(size_t));
  auto *wide = new app::Special[3];
  announce(NAME(app::Special), "[]", reinterpret_cast<const char *>(wide) - sizeof(size_t));
  static std::vector<app::Session> row(4);
  announce(NAME(app::Session), "[]", row.data());
  static std::list<app::Session> list(3);
  for (auto &session : list)
    announce(NAME(app::Session), " at +16", reinterpret_cast<const char *>(&session) - 16);
  // An old object whose first words malloc has overwritten: it was in a cache, and was taken out again.
  // The second pointer is still there, and the object is none.
  auto *gone = new app::Both;
  gone->~Both();
  auto *words = reinterpret_cast<size_t *>(gone);
  words[0] = (reinterpret_cast<size_t>(gone) >> 12) ^ reinterpret_cast<size_t>(array);
  words[1] = 0;
  announce("?", "", gone);
  puts("ready");
  fflush(stdout);
  getchar();
}
