// The system calls that Swift cannot make safely. Every function returns a value or minus errno.
#ifndef CPTRACE_H
#define CPTRACE_H

#include <stddef.h>
#include <stdint.h>

// -- Signals of our own process ------------------------------------------------------------------

// Sets the seven signals that the Swift runtime's crash reporter takes (SIGQUIT, SIGILL, SIGTRAP,
// SIGABRT, SIGFPE, SIGBUS, SIGSEGV) back to their default. signal(7): the default action ends the
// process, and ptrace(2): the end of the tracer detaches all its tracees. The crash reporter would
// wait 30 seconds for a key before that.
int cpt_reset_fatal_signals(void);

// Makes SIGINT, SIGTERM and SIGHUP set one flag. sigaction(2): SA_RESETHAND, so that the second
// one ends us at once; a signal that is ignored on entry (nohup) stays ignored.
int cpt_catch_interrupts(void);

// The first such signal that has arrived, else SIGTSTP after cpt_abort_work(1), else 0.
int cpt_interrupted(void);

// Holds SIGTSTP back in the calling thread and those that it starts, or lets it come again. signal(7): it
// stops all our threads, and what one of them has stopped by ptrace(2) would then stand still as long.
int cpt_hold_suspension(int on);

// -- Stopping threads ----------------------------------------------------------------------------

// Attaches to one thread without stopping it. ptrace(2), PTRACE_SEIZE: no SIGSTOP is sent, and
// group-stops can be told from signals. No options: never PTRACE_O_EXITKILL.
int cpt_seize(int32_t tid);

// Asks a seized thread to stop. ptrace(2), PTRACE_INTERRUPT: it stops with PTRACE_EVENT_STOP unless
// another stop comes first, and does not run user code before.
int cpt_interrupt(int32_t tid);

// Why a thread stopped.
struct cpt_stop {
  // The signal about to be delivered, or the one that belongs to the event.
  int32_t signal;
  // The PTRACE_EVENT, 0 for a signal-delivery-stop.
  int32_t event;
};

// Looks at one tracee without waiting. 0: nothing new. 1: it has stopped, `stop` says why, and says
// so again until the thread runs. 2: it is gone. waitid(2): __WALL, because threads are clone
// children; only `tid` is waited for, so that no child of ours loses its status. Stops are left
// unread (WNOWAIT), so that a signal under way is delivered even if we end. With `keep_exit` a dead
// tracee is left for its parent, which is us (without WEXITED).
int cpt_wait(int32_t tid, int keep_exit, struct cpt_stop *stop);

// Waits for a tracee that has ended, even one that another thread of ours attached to (waitid(2):
// without __WNOTHREAD), and leaves its stops alone: those are reported for a tracee whether they
// were asked for or not, so it is looked at first with WNOWAIT. 1: it had ended. 0: it lives.
int cpt_reap(int32_t tid);

// Lets a stopped thread go, delivering `signal` if it is not 0. ptrace(2): only a signal that a
// signal-delivery-stop reported is delivered; ESRCH if the thread is not stopped.
int cpt_detach(int32_t tid, int32_t signal);

// Blocks SIGCHLD in the calling thread and those that it starts. signal(7): where a process's first
// thread does not block a signal that is ignored by default, it is dropped at once.
int cpt_hold_child_signal(void);

// Waits until the kernel says with SIGCHLD, which must be blocked, that a tracee has stopped or ended,
// or for so many nanoseconds. sigtimedwait(2): unlike a wait call, it comes back when a tracee has died
// that is not reported yet.
void cpt_await_child_signal(int64_t nanoseconds);

// The system call that a thread is in: none, one for the address space, futex(2), or another.
enum cpt_call_kind { cpt_no_call, cpt_memory_call, cpt_futex_call, cpt_other_call };
// The registers that locate a thread in memory.
struct cpt_registers {
  uint64_t program_counter;
  uint64_t stack_pointer;
  uint64_t thread_pointer;
  uint64_t general[31]; // in no particular order: what the thread has in its hands
  uint32_t general_count;
  int32_t is_32_bit; // 1 if the thread executes 32-bit code
  int32_t call;      // enum cpt_call_kind
  uint64_t argument; // the call's first, 0 if unknown: on Arm the result has taken its place
};

// Reads the registers of a stopped thread. ptrace(2): PTRACE_GETREGS, which Arm lacks, so there
// PTRACE_GETREGSET with NT_PRSTATUS (its length tells 32-bit code), NT_ARM_TLS, NT_ARM_SYSTEM_CALL.
int cpt_get_registers(int32_t tid, struct cpt_registers *registers);

// -- Reading memory ------------------------------------------------------------------------------

// Copies up to `count` bytes from `address` of `pid` and returns how many. process_vm_readv(2): a
// short count means that the next byte cannot be read; EFAULT if not even the first one can.
int64_t cpt_read_memory(int32_t pid, uint64_t address, void *buffer, size_t count);

// How many places cpt_gather_memory takes at once: process_vm_readv(2) allows IOV_MAX.
enum { cpt_gather_limit = 1024 };

// Copies `bytes_each` bytes from each of `place_count` addresses, one after the other, into
// `buffer`, and returns how many bytes. The first element that cannot be read ends the copy.
int64_t cpt_gather_memory(int32_t pid, const uint64_t *addresses, size_t place_count,
                          size_t bytes_each, void *buffer);

// pread(2), again after EINTR. On /proc/PID/mem, proc(5): EIO where nothing is mapped, 0 when the
// address space is gone.
int64_t cpt_pread(int fd, void *buffer, size_t count, int64_t offset);

// -- Files of /proc, events, time -----------------------------------------------------------------

// open(2) for reading, closed on exec, never becoming our terminal.
int cpt_open(const char *path);

// read(2), again after EINTR.
int64_t cpt_read(int fd, void *buffer, size_t count);

// readlink(2): no terminating zero; a result of `count` may have been cut off.
int64_t cpt_read_link(const char *path, char *buffer, size_t count);

// stat(2): the owning uid.
int64_t cpt_owner(const char *path);

// Lists the entries of an open directory that are decimal numbers (processes, threads) from its
// beginning and returns how many there are; the first `capacity` are stored. getdents64(2) because
// readdir(3) allocates.
int64_t cpt_list_numbers(int fd, int32_t *numbers, size_t capacity);

// eventfd(2): a descriptor that becomes readable for good with cpt_raise_event.
int cpt_make_event(void);
int cpt_raise_event(int fd);

// Waits until the event is raised, and takes it back.
void cpt_wait_event(int fd);

// Nanoseconds of clock_gettime(2)'s CLOCK_MONOTONIC.
int64_t cpt_now(void);

// Nanoseconds of clock_gettime(2)'s CLOCK_PROCESS_CPUTIME_ID: what all our threads have used.
int64_t cpt_processor_time(void);

// Has the calling thread run before all ordinary ones (sched(7): SCHED_FIFO, which the threads that it
// starts do not inherit), or like them again. -EPERM where neither
// CAP_SYS_NICE nor RLIMIT_RTPRIO allows it.
int cpt_hurry(int on);

// How many processors the calling thread may run on (sched_getaffinity(2)): in a container often fewer
// than there are.
int cpt_processor_count(void);

// Gives the processor away: sched_yield(2) for 0, else nanosleep(2) for that many nanoseconds.
void cpt_pause(int64_t nanoseconds);

#include "CPtraceCalls.h"
#include "CPtraceFiles.h"
#include "CPtraceTerminal.h"

#endif
