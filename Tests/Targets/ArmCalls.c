// Calls those functions of CPtrace that work where there is neither ptrace nor process_vm_readv, and
// prints what they return.
#include "CPtrace.h"

#include <stdio.h>
#include <unistd.h>

int main(void) {
  static const uint64_t word = UINT64_C(0x123456789abcdef0);
  uint64_t copy = 0;
  struct cpt_context context = {{0}, 0};
  struct cpt_call call = cpt_call_reap(1);
  printf("can_make_calls %d\n", cpt_can_make_calls());
  printf("save_context %d\n", cpt_save_context(getpid(), &context));
  printf("set_call %d\n", cpt_set_call(getpid(), &context, 0, &call, 0));
  int file = cpt_open("/proc/self/mem");
  int64_t count = cpt_pread(file, &copy, sizeof copy, (int64_t)(uintptr_t)&word);
  printf("pread %d %d\n", (int)count, copy == word);
  printf("ready\n");
  fflush(stdout);
  return getchar() == EOF ? 0 : 1;
}
