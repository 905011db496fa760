// Using a terminal and giving it back whatever happens, and the signals of a program that does.
// Part of CPtrace.h.
#ifndef CPTRACE_TERMINAL_H
#define CPTRACE_TERMINAL_H

#include <stddef.h>
#include <stdint.h>

// -- The terminal --------------------------------------------------------------------------------

// How many bytes give the terminal back at most.
enum { cpt_leave_limit = 256 };

// Takes the terminal `input` for reading key by key. termios(3): no ECHO, no ICANON with VMIN 1 and
// VTIME 0, no IXON, so that Ctrl-S is a key, no ICRNL, so that Enter is a carriage return, no
// IEXTEN, so that Ctrl-V is a key; ISIG stays. `leave` is copied: it is written to `output` when
// the terminal is given back, by whichever way.
//
// From now on the signals of cpt_reset_fatal_signals give the terminal back and then have their
// default action, without waiting for anything for more than a second, since a process that we have
// stopped may be waiting for our end. sigaction(2): SA_RESETHAND and SA_NODEFER, so that a fault in
// the handler ends us at once; SA_ONSTACK, because the stack may be what is at fault.
//
// -EBUSY if one is taken already. In the background, tcsetattr(3) stops us by SIGTTOU until we are
// in the foreground.
int cpt_terminal_open(int input, int output, const char *leave, size_t length);

// Gives the terminal back for good, and the fatal signals their default action. Harmless when that
// has been done. tcsetattr(3) with TCSANOW: to wait for the output to be shown (TCSADRAIN) may take
// forever. Minus errno, such as EIO after a hang-up, if the terminal could not be told; it is given
// up all the same. In the background, where it is the shell's, it is left alone.
int cpt_terminal_close(void);

// Gives the terminal back for a while, and takes it again. What the terminal is set to by then is
// what it is given back with, since a shell may have changed it. After a stop that could not be
// handled (SIGSTOP), cpt_terminal_resume alone sets our own again.
int cpt_terminal_suspend(void);
int cpt_terminal_resume(void);

// Gives the calling thread a stack for signal handlers, without which an overflow of its own stack
// ends us with the terminal taken. sigaltstack(2): it is each thread's own; cpt_terminal_open does
// this for its caller. The stack is mapped, and unmapped when the thread ends
// (pthread_key_create(3)): a fixed number of static ones would run out as threads come and go.
int cpt_use_signal_stack(void);

// How many columns and rows a terminal has, perhaps 0 where nobody knows. ioctl_tty(2): TIOCGWINSZ.
int cpt_terminal_size(int fd, int *columns, int *rows);

// -- Signals -------------------------------------------------------------------------------------

// What signals have said: SIGWINCH, SIGCONT, SIGTSTP, and one of SIGINT, SIGTERM and SIGHUP.
enum {
  cpt_signal_resized = 1,
  cpt_signal_continued = 2,
  cpt_signal_suspend = 4,
  cpt_signal_interrupt = 8,
};

// Has these signals noted and add 1 to the eventfd `event`, instead of what they did. The first of
// SIGINT, SIGTERM and SIGHUP counts for cpt_interrupted; the second gives the terminal back and
// ends us at once. signal(7): what is ignored on entry, like SIGHUP under nohup(1), stays ignored.
// sigaction(2): SA_RESTART for those that do not ask for our end.
int cpt_watch_signals(int event);

// Which have arrived since the last call.
uint32_t cpt_take_signals(void);

// Stops us as SIGTSTP would have done, and returns when we are continued. raise(3) while the signal
// is blocked: signal(7), SIGCONT takes away all stop signals that are pending, so that several make
// one stop. Nothing happens if SIGTSTP is ignored, or by default in an orphaned process group
// (setpgid(2)), which nobody would continue.
int cpt_stop_ourselves(void);

// With 1, cpt_interrupted returns SIGTSTP, so that work in progress ends as if interrupted; with 0,
// no longer. Signals that have arrived are not forgotten by that.
void cpt_abort_work(int on);

// -- Waiting -------------------------------------------------------------------------------------

// A descriptor to wait for.
struct cpt_poll_entry {
  // One below 0 is passed over.
  int32_t fd;
  int32_t wants_readable;
  // The answers. poll(2): POLLIN (also at the end of a file), and one of POLLHUP, POLLERR (a pipe
  // whose reader is gone) and POLLNVAL, which come without being asked for.
  int32_t readable;
  int32_t hung_up;
};

// How many entries cpt_poll takes.
enum { cpt_poll_limit = 8 };

// Waits until one of the entries has an answer, or for so many nanoseconds, forever if below 0.
// Returns how many have one. ppoll(2): EINTR, which it is never restarted after, counts as 0.
int cpt_poll(struct cpt_poll_entry *entries, int count, int64_t nanoseconds);

#endif
