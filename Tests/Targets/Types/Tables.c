// Structures of C that begin with pointers to functions and data, and blocks of glibc's own.

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct operations {
  int (*open)(void);
  int (*close)(void);
  const char *name;
};

static int do_open(void) { return 1; }
static int do_close(void) { return 2; }
int a_function(void) { return 3; }
const struct operations the_operations = {do_open, do_close, "operations"};
struct {
  long values[4];
} the_data = {{1, 2, 3, 4}};

struct handle {
  const void *what;
  long count;
};
struct counted {
  long count;
  const void *what;
};

static void announce(const char *name, const void *block) {
  printf("object %p %zu %s\n", block, malloc_usable_size((void *)block), name);
}

static void *handle(const void *what) {
  struct handle *made = calloc(1, sizeof *made);
  made->what = what;
  made->count = 1;
  return made;
}

static void *counted(const void *what) {
  struct counted *made = calloc(1, sizeof *made);
  made->what = what;
  made->count = 1;
  return made;
}

int main(void) {
  announce("ops table the_operations", handle(&the_operations));
  announce("structure with the_data", handle(&the_data));
  announce("structure with the_data at +8", counted(&the_data));
  announce("callback a_function", handle((const void *)a_function));
  announce("callback a_function at +8", counted((const void *)a_function));
  announce("text (ASCII)", strdup("a text that is long enough"));
  announce("zeros", calloc(1, 100));
  FILE *file = fopen("/dev/null", "w");
  announce("stdio FILE", file);
  // The second of two neighbours that were given back and taken again, as a cache has it.
  // Volatile, or a compiler leaves out what nobody uses.
  void *volatile first = malloc(200), *volatile second = malloc(200);
  free(second);
  free(first);
  first = malloc(200);
  announce("not written yet (free-list links)", first);
  puts("ready");
  fflush(stdout);
  getchar();
}
