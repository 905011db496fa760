// The shim's implementation. The one state is which signal, or request, interrupts work.
#define _GNU_SOURCE
#include "CPtrace.h"
#include "CPtraceSignals.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if defined(__aarch64__)
#include <asm/ptrace.h>
#endif

// Lock-free, and so fit for signal handlers (signal-safety(7)).
static atomic_int interrupting_signal;
static atomic_int work_is_aborted;

static int64_t value_or_errno(int64_t value) { return value < 0 ? -(int64_t)errno : value; }

static int ptrace_result(long value) { return value < 0 ? -errno : 0; }

// -- Signals of our own process ------------------------------------------------------------------

int cpt_set_fatal_actions(const struct sigaction *action) {
  static const int fatal[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGBUS, SIGSEGV};
  for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
    if (sigaction(fatal[i], action, NULL) < 0)
      return -errno;
  return 0;
}

int cpt_reset_fatal_signals(void) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigemptyset(&action.sa_mask);
  return cpt_set_fatal_actions(&action);
}

int cpt_note_interrupt(int number) {
  int none = 0;
  return atomic_compare_exchange_strong(&interrupting_signal, &none, number);
}

static void note_signal(int number) { cpt_note_interrupt(number); }

int cpt_catch_interrupts(void) {
  static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESETHAND};
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
    struct sigaction before;
    if (sigaction(caught[i], NULL, &before) < 0)
      return -errno;
    if (before.sa_handler == SIG_IGN)
      continue;
    if (sigaction(caught[i], &action, NULL) < 0)
      return -errno;
  }
  return 0;
}

int cpt_interrupted(void) {
  int number = atomic_load(&interrupting_signal);
  return number != 0 ? number : atomic_load(&work_is_aborted) ? SIGTSTP : 0;
}

void cpt_abort_work(int on) { atomic_store(&work_is_aborted, on != 0); }

int cpt_hold_suspension(int on) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTSTP);
  return -pthread_sigmask(on ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
}

// -- Stopping threads ----------------------------------------------------------------------------

int cpt_seize(int32_t tid) { return ptrace_result(ptrace(PTRACE_SEIZE, tid, NULL, NULL)); }

int cpt_interrupt(int32_t tid) { return ptrace_result(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL)); }

int cpt_wait(int32_t tid, int keep_exit, struct cpt_stop *stop) {
  // Unread, the stop keeps the signal that is about to be delivered: the kernel takes that away with
  // the status, and has nothing to deliver if we then end without letting the thread go.
  const int wanted = WSTOPPED | (keep_exit ? 0 : WEXITED) | WNOHANG | __WALL;
  siginfo_t info = {.si_pid = 0};
  if (waitid(P_PID, (id_t)tid, &info, wanted | WNOWAIT) < 0)
    return errno == ECHILD ? 2 : -errno;
  if (info.si_pid == 0)
    return 0;
  if (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED) {
    stop->signal = info.si_status & 0xff;
    stop->event = info.si_status >> 8;
    return 1;
  }
  // What has ended stays so until it is waited for.
  return waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | __WALL) < 0 && errno != ECHILD ? -errno
                                                                                           : 2;
}

int cpt_hold_child_signal(void) {
  sigset_t held;
  sigemptyset(&held);
  sigaddset(&held, SIGCHLD);
  return -pthread_sigmask(SIG_BLOCK, &held, NULL);
}

void cpt_await_child_signal(int64_t nanoseconds) {
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGCHLD);
  struct timespec span = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
  sigtimedwait(&awaited, NULL, &span);
}

int cpt_reap(int32_t tid) {
  siginfo_t info = {.si_pid = 0};
  if (waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
    return -errno;
  if (info.si_pid == 0 || info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED)
    return 0;
  // What has ended stays so until it is waited for.
  return waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | __WALL) < 0 ? -errno : 1;
}

int cpt_detach(int32_t tid, int32_t signal) {
  return ptrace_result(ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)signal));
}

static int32_t kind_of_call(int64_t number) {
  switch (number) {
  case -1:
    return cpt_no_call;
  case SYS_brk:
  case SYS_mmap:
  case SYS_munmap:
  case SYS_mremap:
  case SYS_madvise:
  case SYS_mprotect:
  case SYS_prctl:
    return cpt_memory_call;
  case SYS_futex:
    return cpt_futex_call;
  default:
    return cpt_other_call;
  }
}

#if defined(__x86_64__)

int cpt_get_registers(int32_t tid, struct cpt_registers *registers) {
  struct user_regs_struct all;
  if (ptrace(PTRACE_GETREGS, tid, NULL, &all) < 0)
    return -errno;
  registers->program_counter = all.rip;
  registers->stack_pointer = all.rsp;
  registers->thread_pointer = all.fs_base;
  const uint64_t general[] = {all.rax, all.rbx, all.rcx, all.rdx, all.rsi, all.rdi, all.rbp, all.r8,
                              all.r9,  all.r10, all.r11, all.r12, all.r13, all.r14, all.r15};
  memcpy(registers->general, general, sizeof general);
  registers->general_count = sizeof general / sizeof general[0];
  // The selector of the 32-bit code segment that Linux gives to compatibility mode.
  registers->is_32_bit = all.cs == 0x23;
  registers->call = kind_of_call((int64_t)all.orig_rax);
  registers->argument = all.rdi;
  return 0;
}

#elif defined(__aarch64__)

int cpt_get_registers(int32_t tid, struct cpt_registers *registers) {
  struct user_pt_regs all;
  struct iovec part = {.iov_base = &all, .iov_len = sizeof all};
  if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)NT_PRSTATUS, &part) < 0)
    return -errno;
  registers->is_32_bit = part.iov_len != sizeof all;
  registers->program_counter = all.pc;
  registers->stack_pointer = all.sp;
  memcpy(registers->general, all.regs, sizeof all.regs);
  registers->general_count = sizeof all.regs / sizeof all.regs[0];
  uint64_t thread_pointer = 0;
  part = (struct iovec){.iov_base = &thread_pointer, .iov_len = sizeof thread_pointer};
  if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)NT_ARM_TLS, &part) < 0)
    return -errno;
  registers->thread_pointer = thread_pointer;
  int32_t call = -1;
  part = (struct iovec){.iov_base = &call, .iov_len = sizeof call};
  // Without it the thread's stack is looked at, as if it were in no call.
  if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)NT_ARM_SYSTEM_CALL, &part) < 0) call = -1;
  registers->call = kind_of_call(call);
  registers->argument = 0;
  return 0;
}

#else
#error "malloscope knows the registers of x86-64 and 64-bit Arm only"
#endif

// -- Reading memory ------------------------------------------------------------------------------

int64_t cpt_read_memory(int32_t pid, uint64_t address, void *buffer, size_t count) {
  struct iovec ours = {.iov_base = buffer, .iov_len = count};
  struct iovec theirs = {.iov_base = (void *)(uintptr_t)address, .iov_len = count};
  return value_or_errno(process_vm_readv(pid, &ours, 1, &theirs, 1, 0));
}

int64_t cpt_gather_memory(int32_t pid, const uint64_t *addresses, size_t place_count,
                          size_t bytes_each, void *buffer) {
  struct iovec theirs[cpt_gather_limit];
  if (place_count > cpt_gather_limit || (bytes_each > 0 && place_count > SSIZE_MAX / bytes_each))
    return -EINVAL;
  for (size_t i = 0; i < place_count; i++)
    theirs[i] =
        (struct iovec){.iov_base = (void *)(uintptr_t)addresses[i], .iov_len = bytes_each};
  struct iovec ours = {.iov_base = buffer, .iov_len = place_count * bytes_each};
  return value_or_errno(process_vm_readv(pid, &ours, 1, theirs, place_count, 0));
}

int64_t cpt_pread(int fd, void *buffer, size_t count, int64_t offset) {
  ssize_t done;
  do
    done = pread(fd, buffer, count, offset);
  while (done < 0 && errno == EINTR);
  return value_or_errno(done);
}

// -- Files of /proc ------------------------------------------------------------------------------

int cpt_open(const char *path) {
  return (int)value_or_errno(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
}

int64_t cpt_read(int fd, void *buffer, size_t count) {
  ssize_t done;
  do
    done = read(fd, buffer, count);
  while (done < 0 && errno == EINTR);
  return value_or_errno(done);
}

int64_t cpt_read_link(const char *path, char *buffer, size_t count) {
  return value_or_errno(readlink(path, buffer, count));
}

int64_t cpt_owner(const char *path) {
  struct stat facts;
  return stat(path, &facts) < 0 ? -(int64_t)errno : (int64_t)facts.st_uid;
}

// What getdents64 stores; glibc declares it only in newer versions.
struct directory_entry {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

// The number that a name spells, or -1.
static int32_t number_of(const char *name) {
  int64_t number = 0;
  if (*name == 0)
    return -1;
  for (; *name != 0; name++) {
    if (*name < '0' || *name > '9')
      return -1;
    number = number * 10 + (*name - '0');
    if (number > INT32_MAX)
      return -1;
  }
  return (int32_t)number;
}

int64_t cpt_list_numbers(int fd, int32_t *numbers, size_t capacity) {
  _Alignas(struct directory_entry) char buffer[16384];
  int64_t found = 0;
  if (lseek(fd, 0, SEEK_SET) < 0)
    return -errno;
  for (;;) {
    long filled = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    if (filled < 0)
      return -errno;
    if (filled == 0)
      return found;
    for (long at = 0; at < filled;) {
      const struct directory_entry *entry = (const struct directory_entry *)(buffer + at);
      int32_t number = number_of(entry->name);
      if (number >= 0) {
        if ((size_t)found < capacity)
          numbers[found] = number;
        found++;
      }
      at += entry->length;
    }
  }
}

int cpt_make_event(void) { return (int)value_or_errno(eventfd(0, EFD_CLOEXEC)); }

int cpt_raise_event(int fd) { return (int)value_or_errno(eventfd_write(fd, 1)); }

void cpt_wait_event(int fd) {
  eventfd_t value;
  eventfd_read(fd, &value);
}

int64_t cpt_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t cpt_processor_time(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

int cpt_hurry(int on) {
  struct sched_param urgent = {.sched_priority = 1};
  struct sched_param ordinary = {.sched_priority = 0};
  // sched_setscheduler(2): 0 is the calling thread.
  // Only CAP_SYS_NICE could take SCHED_RESET_ON_FORK back, and a resource limit allows the rest.
  int result = on ? sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &urgent)
                  : sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &ordinary);
  return (int)value_or_errno(result);
}

int cpt_processor_count(void) {
  cpu_set_t allowed;
  // It fails where there are more processors than the set has places for.
  return sched_getaffinity(0, sizeof allowed, &allowed) < 0 ? CPU_SETSIZE : CPU_COUNT(&allowed);
}

void cpt_pause(int64_t nanoseconds) {
  if (nanoseconds <= 0) {
    sched_yield();
    return;
  }
  struct timespec span = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
  nanosleep(&span, NULL);
}
