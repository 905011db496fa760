// System calls in other processes' threads: the implementation, and the tables of the one processor
// that it is written for.
#define _GNU_SOURCE
#include "CPtrace.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int ptrace_result(long value) { return value < 0 ? -errno : 0; }

// What the kernel takes for a signal mask, less than glibc's sigset_t.
enum { kernel_mask_size = 8 };

// An address that no memory can have: no processor has that many address bits.
static const uint64_t nowhere = UINT64_C(1) << 62;

// -- Which calls ---------------------------------------------------------------------------------

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

struct cpt_call cpt_call_share_memory(void) {
  return (struct cpt_call){SYS_clone, {CLONE_VM | CLONE_FILES, nowhere}, 2};
}

struct cpt_call cpt_call_copy_memory(int shares_files) {
  uint64_t flags = CLONE_PARENT | (shares_files ? CLONE_FILES : 0);
  return (struct cpt_call){SYS_clone, {flags, nowhere}, 2};
}

struct cpt_call cpt_call_leave_files(void) {
  // CLOSE_RANGE_UNSHARE, which glibc names only in newer versions, is 2.
  return (struct cpt_call){SYS_close_range, {0, UINT32_MAX, 2}, 3};
}

struct cpt_call cpt_call_reap(int32_t pid) {
  return (struct cpt_call){SYS_wait4, {(uint64_t)(int64_t)pid, 0, __WALL | WNOHANG, 0}, 4};
}

// -- Registers -----------------------------------------------------------------------------------

#if defined(__x86_64__)

_Static_assert(sizeof(struct user_regs_struct) == sizeof((struct cpt_context){{0}, 0}.registers),
               "the kernel's registers fill the context's");

int cpt_can_make_calls(void) { return 1; }

int cpt_save_context(int32_t tid, struct cpt_context *context) {
  if (ptrace(PTRACE_GETREGS, tid, NULL, context->registers) < 0)
    return -errno;
  return ptrace_result(ptrace(PTRACE_GETSIGMASK, tid, (void *)kernel_mask_size,
                              &context->signal_mask));
}

int cpt_restore_context(int32_t tid, const struct cpt_context *context) {
  if (ptrace(PTRACE_SETSIGMASK, tid, (void *)kernel_mask_size, &context->signal_mask) < 0)
    return -errno;
  return ptrace_result(ptrace(PTRACE_SETREGS, tid, NULL, context->registers));
}

static struct user_regs_struct registers_of(const struct cpt_context *context) {
  struct user_regs_struct all;
  memcpy(&all, context->registers, sizeof all);
  return all;
}

void cpt_describe_context(const struct cpt_context *context, struct cpt_place *place) {
  struct user_regs_struct all = registers_of(context);
  place->system_call = (int64_t)all.orig_rax < 0 ? -1 : (int64_t)all.orig_rax;
  place->program_counter = all.rip;
  place->instruction = all.rip - 2;
  // The selector of the 64-bit code segment.
  place->is_64_bit = all.cs == 0x33;
  // ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND and ERESTART_RESTARTBLOCK of the kernel.
  int64_t result = (int64_t)all.rax;
  place->restarts_call = place->system_call >= 0 && result <= -512 && result >= -516 &&
                         result != -515;
  place->is_futex_wait = place->system_call == SYS_futex;
  switch (place->system_call) {
  case SYS_rt_sigsuspend:
  case SYS_pselect6:
  case SYS_ppoll:
  case SYS_epoll_pwait:
  case 333: // io_pgetevents
  case 426: // io_uring_enter
  case 441: // epoll_pwait2
    place->swaps_mask = 1;
    break;
  default:
    place->swaps_mask = 0;
  }
}

int cpt_is_call_instruction(int32_t tid, uint64_t address) {
  static const uint8_t syscall_instruction[] = {0x0f, 0x05};
  uint8_t found[sizeof syscall_instruction];
  return cpt_read_memory(tid, address, found, sizeof found) == sizeof found &&
         memcmp(found, syscall_instruction, sizeof found) == 0;
}

static struct user_regs_struct registers_for(const struct cpt_context *context,
                                            const struct cpt_call *call) {
  struct user_regs_struct all = registers_of(context);
  unsigned long long *const places[] = {&all.rdi, &all.rsi, &all.rdx, &all.r10};
  for (int i = 0; i < call->argument_count && i < 4; i++)
    *places[i] = call->arguments[i];
  return all;
}

int cpt_set_call(int32_t tid, const struct cpt_context *context, uint64_t instruction,
                 const struct cpt_call *call, int blocks_signals) {
  struct user_regs_struct all = registers_for(context, call);
  all.rax = (uint64_t)call->number;
  all.orig_rax = UINT64_MAX;
  all.rip = instruction;
  if (ptrace(PTRACE_SETREGS, tid, NULL, &all) < 0)
    return -errno;
  if (!blocks_signals)
    return 0;
  // The kernel leaves out SIGKILL and SIGSTOP by itself.
  uint64_t every_signal = UINT64_MAX;
  return ptrace_result(ptrace(PTRACE_SETSIGMASK, tid, (void *)kernel_mask_size, &every_signal));
}

int cpt_replace_call(int32_t tid, const struct cpt_context *context, const struct cpt_call *call) {
  struct user_regs_struct all = registers_for(context, call);
  // What the kernel has in them at the entry.
  all.rax = (uint64_t)-ENOSYS;
  all.orig_rax = (uint64_t)call->number;
  return ptrace_result(ptrace(PTRACE_SETREGS, tid, NULL, &all));
}

int cpt_get_result(int32_t tid, int64_t *result) {
  struct user_regs_struct all;
  if (ptrace(PTRACE_GETREGS, tid, NULL, &all) < 0)
    return -errno;
  *result = (int64_t)all.rax;
  return 0;
}

#else

int cpt_can_make_calls(void) { return 0; }

int cpt_save_context(int32_t tid, struct cpt_context *context) {
  (void)tid, (void)context;
  return -ENOSYS;
}

int cpt_restore_context(int32_t tid, const struct cpt_context *context) {
  (void)tid, (void)context;
  return -ENOSYS;
}

void cpt_describe_context(const struct cpt_context *context, struct cpt_place *place) {
  (void)context;
  *place = (struct cpt_place){.system_call = -1};
}

int cpt_is_call_instruction(int32_t tid, uint64_t address) {
  (void)tid, (void)address;
  return 0;
}

int cpt_set_call(int32_t tid, const struct cpt_context *context, uint64_t instruction,
                 const struct cpt_call *call, int blocks_signals) {
  (void)tid, (void)context, (void)instruction, (void)call, (void)blocks_signals;
  return -ENOSYS;
}

int cpt_replace_call(int32_t tid, const struct cpt_context *context, const struct cpt_call *call) {
  (void)tid, (void)context, (void)call;
  return -ENOSYS;
}

int cpt_get_result(int32_t tid, int64_t *result) {
  (void)tid, (void)result;
  return -ENOSYS;
}

#endif

// -- Resuming and waiting ------------------------------------------------------------------------

_Static_assert(cpt_option_births == (int)PTRACE_O_TRACECLONE &&
                   cpt_option_calls == (int)PTRACE_O_TRACESYSGOOD &&
                   cpt_option_kill_with_us == (int)PTRACE_O_EXITKILL &&
                   cpt_event_birth == (int)PTRACE_EVENT_CLONE &&
                   cpt_event_stop == (int)PTRACE_EVENT_STOP &&
                   cpt_signal_of_calls == (SIGTRAP | 0x80),
               "the header's numbers are the kernel's");

int cpt_set_options(int32_t tid, int32_t options) {
  return ptrace_result(ptrace(PTRACE_SETOPTIONS, tid, NULL, (void *)(intptr_t)options));
}

int cpt_resume(int32_t tid, int until_call) {
  return ptrace_result(ptrace(until_call ? PTRACE_SYSCALL : PTRACE_CONT, tid, NULL, NULL));
}

int cpt_get_message(int32_t tid, uint64_t *message) {
  unsigned long word = 0;
  if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &word) < 0)
    return -errno;
  *message = word;
  return 0;
}

// -- Threads that are better left alone ----------------------------------------------------------

int cpt_diverts_calls(int32_t tid) {
  // PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG and its structure, which headers before Linux 6.4 lack.
  struct {
    uint64_t mode, selector, offset, length;
  } dispatch = {0, 0, 0, 0};
  long result = ptrace((enum __ptrace_request)0x4211, tid, (void *)sizeof dispatch, &dispatch);
  return result >= 0 && dispatch.mode != 0;
}

int cpt_may_be_in_sequence(int32_t tid) {
  // PTRACE_GET_RSEQ_CONFIGURATION and its structure, which headers before Linux 5.13 lack.
  struct {
    uint64_t area;
    uint32_t area_size, signature, flags, padding;
  } configuration = {0, 0, 0, 0, 0};
  long result =
      ptrace((enum __ptrace_request)0x420f, tid, (void *)sizeof configuration, &configuration);
  if (result < 0 || configuration.area == 0)
    return 0;
  // The second word of the area describes the sequence that the thread is in or was in last.
  uint64_t sequence = 0;
  int64_t count = cpt_read_memory(tid, configuration.area + 8, &sequence, sizeof sequence);
  return count != sizeof sequence || sequence != 0;
}

// -- What a process does to itself ---------------------------------------------------------------

int cpt_block_signals(void) {
  sigset_t all;
  sigfillset(&all);
  return sigprocmask(SIG_SETMASK, &all, NULL) < 0 ? -errno : 0;
}

void cpt_close_from(int first) {
  if (syscall(SYS_close_range, first, UINT32_MAX, 0) == 0)
    return;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
    return;
  for (rlim_t number = (rlim_t)first; number < limit.rlim_cur && number < 1 << 20; number++)
    close((int)number);
}

void cpt_set_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
