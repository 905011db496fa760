// A program without any libc, with the state and the marks of a glibc whose malloc is changed: what is
// changed is chosen by macros. Says "ready" and waits for its standard input.

struct malloc_state {
  int mutex, flags, have_fastchunks;
  void *fastbinsY[10];
  void *top, *last_remainder, *bins[254];
  unsigned binmap[4];
#ifdef LONGER
  // A field that no glibc has.
  unsigned long long generation[2];
#endif
  struct malloc_state *next, *next_free;
  unsigned long attached_threads;
#ifdef RENAMED
  unsigned long system_bytes;
#else
  unsigned long system_mem;
#endif
  unsigned long max_system_mem;
};

struct malloc_par {
  unsigned long trim_threshold, top_pad, mmap_threshold, arena_test, arena_max;
  unsigned long thp_pagesize, hp_pagesize;
  int hp_flags;
#ifdef OTHER_PARAMETERS
  int generation;
#endif
  int n_mmaps, n_mmaps_max, max_n_mmaps, no_dyn_threshold;
  unsigned long mmapped_mem, max_mmapped_mem;
  char *sbrk_base;
};

#define KEPT __attribute__((used, noinline))

KEPT static struct malloc_state main_arena = {.next = &main_arena, .attached_threads = 1};
#ifdef TWO_ARENAS
KEPT static struct malloc_state spare_arena = {.next = &spare_arena, .attached_threads = 1};
#endif
KEPT static struct malloc_par mp_ = {.trim_threshold = 0x20000,
                                     .top_pad = 0x20000,
                                     .mmap_threshold = 0x20000,
                                     .arena_test = 8,
                                     .n_mmaps_max = 65536};

KEPT static const char *_int_free(void *block) {
  return block ? "free(): invalid pointer" : 0;
}

KEPT void *__libc_malloc(unsigned long size) {
  return size ? (void *)_int_free(main_arena.top) : mp_.sbrk_base;
}

static long call(long number, long first, const void *second, long third) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second), "d"(third)
                   : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = first;
  register long x1 __asm__("x1") = (long)second;
  register long x2 __asm__("x2") = third;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
#endif
}

void _start(void) {
#if defined(__x86_64__)
  enum { read_call = 0, write_call = 1, exit_call = 231 };
#else
  enum { read_call = 63, write_call = 64, exit_call = 94 };
#endif
  char input;
  call(write_call, 1, "ready\n", 6);
  call(read_call, 0, &input, 1);
  call(exit_call, 0, 0, 0);
}
