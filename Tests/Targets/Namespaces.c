// Several copies of glibc's malloc in one process, each with blocks of its own; linked statically, it
// loads the others with dlopen.
//
// Arguments: how many further copies, and how many kilobytes each of them gets. Prints one line for each
// copy, the program's own first, with what its mallinfo2 says, then "ready", and waits.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { limit = 8 };

typedef void *(*allocator)(size_t);
typedef void (*releaser)(void *);
typedef struct mallinfo2 (*describer)(void);

struct copy {
  allocator allocate;
  releaser release;
  describer describe;
};

static void *load(void) {
#ifdef LINKED_STATICALLY
  return dlopen("libc.so.6", RTLD_NOW | RTLD_LOCAL);
#else
  return dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW | RTLD_LOCAL);
#endif
}

// Blocks of many sizes, every third of which is given back, and some with mappings of their own.
static void fill(const struct copy *copy, size_t kilobytes, unsigned seed) {
  size_t done = 0;
  unsigned state = seed;
  while (done < kilobytes * 1024) {
    state = state * 1103515245 + 12345;
    size_t size = 16 + (state >> 16) % 4000;
    void *block = copy->allocate(size);
    void *other = copy->allocate(size / 2 + 1);
    memset(block, 0x5a, size);
    if ((state >> 20) % 3 == 0) copy->release(other);
    done += size;
  }
  for (unsigned index = 0; index <= seed; index++) {
    char *block = copy->allocate(300000 + 5000 * index);
    block[0] = 1;
  }
}

int main(int count, char **arguments) {
  int copies = count > 1 ? atoi(arguments[1]) : 1;
  size_t kilobytes = count > 2 ? (size_t)atol(arguments[2]) : 3000;
  if (copies < 0 || copies >= limit) return 2;
  struct copy all[limit] = {{malloc, free, mallinfo2}};
  for (int index = 1; index <= copies; index++) {
    void *handle = load();
    if (!handle) {
      fprintf(stderr, "%s\n", dlerror());
      return 3;
    }
    all[index].allocate = (allocator)dlsym(handle, "malloc");
    all[index].release = (releaser)dlsym(handle, "free");
    all[index].describe = (describer)dlsym(handle, "mallinfo2");
    if (!all[index].allocate || !all[index].release || !all[index].describe) return 4;
  }
  // In turns, so that their segments lie between each other's.
  for (int turn = 0; turn < 4; turn++)
    for (int index = 0; index <= copies; index++)
      fill(&all[index], kilobytes / 4, (unsigned)(index + turn));
  static char line[256];
  setvbuf(stdout, NULL, _IONBF, 0);
  for (int index = 0; index <= copies; index++) {
    struct mallinfo2 info = all[index].describe();
    int length = snprintf(line, sizeof line, "%d %zu %zu %zu %zu %zu\n", index, info.arena,
                          info.uordblks, info.fordblks, info.hblks, info.hblkhd);
    if (write(1, line, (size_t)length) != length) return 5;
  }
  if (write(1, "ready\n", 6) != 6) return 5;
  for (;;) pause();
}
