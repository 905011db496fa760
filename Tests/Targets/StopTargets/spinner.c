// Computes a sum without a system call until SIGTERM, checking it all the time; writes "right" for
// every SIGUSR1, or ends with 1 if a register or the memory went wrong.
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

static volatile sig_atomic_t is_over;

static void answer(int number) {
  if (number == SIGTERM)
    is_over = 1;
  else if (write(1, "right\n", 6) != 6)
    _exit(2);
}

int main(void) {
  signal(SIGUSR1, answer);
  signal(SIGTERM, answer);
  if (write(1, "ready\n", 6) != 6)
    return 2;
  while (!is_over) {
    uint64_t a = 1, b = 2, c = 3, d = 5, e = 7, f = 11;
    for (uint64_t i = 0; i < 100000; i++) {
      a += i;
      b ^= a;
      c += b;
      d ^= c;
      e += d;
      f ^= e;
    }
    static uint64_t first;
    if (first == 0)
      first = f;
    if (f != first)
      return 1;
  }
  return 0;
}
