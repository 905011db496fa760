// What the sources of the shim share about signals. Not for others.
#ifndef CPTRACE_SIGNALS_H
#define CPTRACE_SIGNALS_H

#include <signal.h>

#pragma GCC visibility push(hidden)

// Gives all seven signals of cpt_reset_fatal_signals the same action.
int cpt_set_fatal_actions(const struct sigaction *action);

// The three that follow are async-signal-safe.

// Remembers a signal that asks for our end. 0 if another one has been remembered before.
int cpt_note_interrupt(int number);

// Gives a signal its default action.
void cpt_set_default_action(int number);

// Ends us by a signal, with the terminal given back.
void cpt_end_by(int number);

#pragma GCC visibility pop

#endif
