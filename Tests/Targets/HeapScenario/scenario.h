// What the scenarios share: output that allocates nothing, the table of live blocks, the figures
// that glibc gives about itself, and the waiting for the test to finish.
#ifndef SCENARIO_H
#define SCENARIO_H

// Here and first in every file, so that all of them see the same C library.
#define _GNU_SOURCE

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// output.c: buffered text on descriptor 1, without stdio and without malloc.
void put_text(const char *text);
void put_bytes(const char *bytes, size_t count);
void put_decimal(uint64_t value);
void put_hex(uint64_t value);
void put_line(const char *name, uint64_t value);
void put_flush(void);

// random.c: a small deterministic generator, one state a thread.
struct dice {
  uint64_t state;
};
struct dice dice_seeded(uint64_t seed);
uint64_t dice_roll(struct dice *dice);
uint64_t dice_below(struct dice *dice, uint64_t limit);
// Mostly small, a few up to 100,000 bytes; never 0.
size_t dice_size(struct dice *dice);

// ledger.c: blocks that a scenario holds, kept outside the heap so that keeping them changes nothing.
struct ledger {
  void **blocks;
  size_t capacity;
};
// Reserves room for `capacity` blocks and makes the ledger known to the oracle.
struct ledger *ledger_open(size_t capacity);
size_t ledger_held(void);
void ledger_print(bool with_blocks);
void *no_memory_check(void *block, const char *what);

// history.c: how scenarios fill a ledger.
void history_random(struct ledger *ledger, struct dice *dice, size_t operations);
// Leaves blocks in every kind of bin: tcache, fastbins, unsorted, small and large.
void history_populate_bins(struct ledger *ledger, struct dice *dice);
void history_fill(struct ledger *ledger, struct dice *dice, size_t low, size_t high);
// A ledger for `live` blocks and about 3 % more, which history_fill_with_holes frees again.
struct ledger *history_ledger_for(size_t live);
void history_fill_with_holes(struct ledger *ledger, struct dice *dice, size_t low, size_t high);

// oracle.c: what glibc says about itself, taken into static memory.
// Opens the stream that the figures go to; the only allocation that the oracle ever makes.
void oracle_prepare(void);
// Takes the figures and prints them. The caller must not allocate any more afterwards.
void oracle_print(bool with_blocks);

// waiting.c
// Prints `ready PID`, then answers every line on standard input until it is closed: `clone` with how
// long a clone of this process takes, any other by calling `on_line` and reporting the heartbeat's
// gap; with nothing to call and no heartbeat, with `here`.
void wait_until_closed(void (*on_line)(void));
void announce_ready(void);
// Nanoseconds of CLOCK_MONOTONIC.
uint64_t now_ns(void);
void start_thread(pthread_t *thread, void *(*body)(void *), void *argument);
_Noreturn void fail(const char *what);

// threads.c
// A thread about to be started, and what it is to run.
struct start;
struct start *threads_begin(void *(*body)(void *), void *argument);
void *threads_run(void *start);
// Prints `thread TID POINTER` for each thread that lives, where a test cannot ask the kernel for the
// pointer: on aarch64, since there the program may be run by an emulator.
void threads_print(void);

// heartbeat.c
// Starts the thread that watches for gaps in its own running; see --heartbeat. Prints whether it
// runs ahead of other programs' threads (`heartbeat real-time`) or not (`heartbeat normal`).
void heartbeat_start(void);
bool heartbeat_runs(void);
// Forgets the gaps so far.
void heartbeat_reset(void);
// Prints the longest gap since the last report.
void heartbeat_report(void);
// Prints all the time since the last such line for which the thread did not run.
void heartbeat_report_lost(void);

// The arguments of a scenario that follow its name.
struct arguments {
  int count;
  char **values;
};
// The argument at `index` as a number, or `otherwise` if it is not given.
uint64_t argument_number(struct arguments arguments, int index, uint64_t otherwise);

// main_arena.c
void scenario_main_only(struct arguments arguments);
void scenario_small10(struct arguments arguments);
void scenario_million(struct arguments arguments);
void scenario_fastbins(struct arguments arguments);
void scenario_trim(struct arguments arguments);
void build_trim_holes(struct dice *dice);

// segments.c
void scenario_mmaps(struct arguments arguments);
void scenario_foreign_sbrk(struct arguments arguments);
void scenario_blocked_brk(struct arguments arguments);
void build_mmaps(void);
void build_foreign_sbrk(struct dice *dice);
void build_blocked_brk(struct dice *dice);

// arenas.c
void scenario_threads(struct arguments arguments);
void scenario_forked(struct arguments arguments);
void scenario_two_heaps(struct arguments arguments);
void scenario_everything(struct arguments arguments);
void scenario_churn(struct arguments arguments);

// large.c
void scenario_gib(struct arguments arguments);
void scenario_mib_chunks(struct arguments arguments);

// damage.c
void scenario_damaged(struct arguments arguments);

// process.c
void scenario_unused(struct arguments arguments);
void scenario_signals(struct arguments arguments);
void scenario_exiter(struct arguments arguments);
void scenario_zombie(struct arguments arguments);
void scenario_traced(struct arguments arguments);
void scenario_vfork(struct arguments arguments);

// swapped.c
void scenario_swapped(struct arguments arguments);

// sleepers.c
void scenario_sleepers(struct arguments arguments);
void scenario_spawner(struct arguments arguments);

#endif
