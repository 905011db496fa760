// Nodes of containers and blocks of the C library, each of which is announced with what it is.

#include <cstdio>
#include <dlfcn.h>
#include <list>
#include <malloc.h>
#include <map>
#include <pthread.h>
#include <set>
#include <string>
#include <unistd.h>

static void announce(const char *name, const void *block) {
  printf("object %p %zu %s\n", block, malloc_usable_size(const_cast<void *>(block)), name);
}

static void *before(const void *place, size_t count) {
  return const_cast<char *>(static_cast<const char *>(place) - count);
}

static void *wait_for_ever(void *) {
  pause();
  return nullptr;
}

int main() {
  static std::map<long, long> map;
  for (long key = 0; key < 100; key++)
    map[key * 7919 % 101] = key;
  for (auto &pair : map)
    announce("red-black tree node", before(&pair, 32));
  static std::set<std::string> set;
  for (int key = 0; key < 20; key++)
    set.insert("a key that is too long for the string itself " + std::to_string(key));
  for (auto &key : set)
    announce("red-black tree node", before(&key, 32));
  static std::list<long> list(50, 1L << 50);
  for (auto &number : list)
    announce("list node", before(&number, 16));
  // Loaded later than the program: what it is described by is on the heap.
  void *library = dlopen("libresolv.so.2", RTLD_NOW);
  if (library)
    announce("link map of ld.so", library);
#ifdef __x86_64__
  // A thread begins with its own address and that of its vector, which begins with its count.
  pthread_t thread;
  pthread_create(&thread, nullptr, wait_for_ever, nullptr);
  void **control = reinterpret_cast<void **>(thread);
  announce("TLS vector (dtv)", before(control[1], 16));
#endif
  puts("ready");
  fflush(stdout);
  getchar();
}
