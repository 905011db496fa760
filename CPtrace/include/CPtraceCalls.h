// Running system calls in a stopped thread of another process: only its registers are changed, and its
// signal mask while they are. Part of CPtrace.h.
#ifndef CPTRACE_CALLS_H
#define CPTRACE_CALLS_H

#include <stdint.h>

// 1 where this is written for the processor (x86-64), else 0; then all functions return -ENOSYS.
int cpt_can_make_calls(void);

// What a thread goes on with: all general registers in the order of <sys/user.h>, and its signal mask.
struct cpt_context {
  uint64_t registers[27];
  uint64_t signal_mask;
};

// Copies a stopped thread's context. ptrace(2): PTRACE_GETREGS and PTRACE_GETSIGMASK; for a thread
// within sigsuspend and the like, the kernel (5.1 and later) gives the mask to go back to.
int cpt_save_context(int32_t tid, struct cpt_context *context);

// Gives a thread its context back, the mask first: with the registers it is whole again.
int cpt_restore_context(int32_t tid, const struct cpt_context *context);

// What a context says of its thread.
struct cpt_place {
  // The system call that it is in, or -1. Taken from the register that makes the kernel restart it.
  int64_t system_call;
  // Where the instruction of that call would be: before the program counter.
  uint64_t instruction;
  uint64_t program_counter;
  // 1 if the thread executes 64-bit code.
  int32_t is_64_bit;
  // 1 in a wait on a futex, whose caller takes any result for a reason to look again.
  int32_t is_futex_wait;
  // 1 in a call that exchanges the signal mask while it lasts.
  int32_t swaps_mask;
  // 1 if the kernel makes it begin its call again when it runs on.
  int32_t restarts_call;
};

void cpt_describe_context(const struct cpt_context *context, struct cpt_place *place);

// 1 if the two bytes at `address` of the thread's memory are the instruction that makes a system call.
int cpt_is_call_instruction(int32_t tid, uint64_t address);

// A system call and its arguments.
struct cpt_call {
  int64_t number;
  uint64_t arguments[4];
  int32_t argument_count;
};

// clone(2) of a process that shares memory and descriptors with its maker, sends no signal when it
// ends and is found by wait calls with __WALL or __WCLONE only. Its stack lies where no memory can be:
// without a tracer, it would die at the first use of it instead of running the program again.
struct cpt_call cpt_call_share_memory(void);

// clone(2) of a process with a copy of the memory, as a sibling: its parent and the signal of its end
// are its maker's. With `shares_files` it has no descriptors of its own.
struct cpt_call cpt_call_copy_memory(int shares_files);

// close_range(2) of all descriptors with CLOSE_RANGE_UNSHARE: leaves a shared table without touching
// what is in it, and has an empty one afterwards. Linux 5.9; -ENOSYS before.
struct cpt_call cpt_call_leave_files(void);

// wait4(2) for one child that has ended, even one without an exit signal (__WALL), without waiting.
struct cpt_call cpt_call_reap(int32_t pid);

// Has a stopped thread make `call` by the instruction at `instruction` when it is resumed. The kernel
// restarts no interrupted call (orig_rax is -1). Registers that are no arguments keep what `context`
// has. With `blocks_signals`, all signals are blocked that can be (PTRACE_SETSIGMASK): clone(2) fails
// if one is pending, and one taken from the queue now could not be put back as it was.
int cpt_set_call(int32_t tid, const struct cpt_context *context, uint64_t instruction,
                 const struct cpt_call *call, int blocks_signals);

// Replaces the call that a thread, stopped at its entry, is about to make by `call`. `context` is what
// it had before it began its call again.
int cpt_replace_call(int32_t tid, const struct cpt_context *context, const struct cpt_call *call);

// The result register of a stopped thread.
int cpt_get_result(int32_t tid, int64_t *result);

// What PTRACE_SETOPTIONS takes.
enum {
  // Stops at clone(2), the new process being attached at birth with the same options.
  cpt_option_births = 0x8,
  // Tells stops of system calls from those of signals.
  cpt_option_calls = 0x1,
  // The tracee is killed when its tracer ends. Never for a thread of the target.
  cpt_option_kill_with_us = 0x100000,
};

int cpt_set_options(int32_t tid, int32_t options);

// Resumes a stopped thread without a signal; with `until_call` up to the next entry to or exit from a
// system call (PTRACE_SYSCALL).
int cpt_resume(int32_t tid, int until_call);

// What a cpt_stop can say beside signals: the event of a birth, that of PTRACE_INTERRUPT and of group-stops, and the
// signal of a system call's entry and exit (with cpt_option_calls).
enum { cpt_event_birth = 3, cpt_event_stop = 128, cpt_signal_of_calls = 0x85 };

// PTRACE_GETEVENTMSG: at a birth, the new process's id in our PID namespace.
int cpt_get_message(int32_t tid, uint64_t *message);

// 1 if the thread has its system calls turned into signals (prctl(2), PR_SET_SYSCALL_USER_DISPATCH).
// Kernels before 6.4 do not tell: 0.
int cpt_diverts_calls(int32_t tid);

// 1 if the thread may be in a restartable sequence (rseq(2)), which a system call would break without
// the program's noticing. Kernels before 5.13 do not tell: 0.
int cpt_may_be_in_sequence(int32_t tid);

// -- What a process does to itself that does this ---------------------------------------------------

// Blocks all signals that can be.
int cpt_block_signals(void);

// Closes all descriptors from `first` on: close_range(2), or one by one.
void cpt_close_from(int first);

// prctl(2), PR_SET_NAME: the name in /proc/PID/comm, at most 15 bytes.
void cpt_set_name(const char *name);

#endif
