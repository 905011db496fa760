// HeapScenario NAME [--heartbeat] [ARGUMENT ...]: builds a known heap, says what it is, and waits.
//
// On standard output: what glibc says of the heap, the live blocks, then `ready PID`. It ends when
// standard input is closed.
#include "scenario.h"

#include "../PlainLinking.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
  const char *name;
  void (*run)(struct arguments);
} scenarios[] = {
    {"main-only", scenario_main_only},
    {"threads", scenario_threads},
    {"forked", scenario_forked},
    {"two-heaps", scenario_two_heaps},
    {"mmaps", scenario_mmaps},
    {"foreign-sbrk", scenario_foreign_sbrk},
    {"blocked-brk", scenario_blocked_brk},
    {"trim", scenario_trim},
    {"unused", scenario_unused},
    {"everything", scenario_everything},
    {"churn", scenario_churn},
    {"million", scenario_million},
    {"small10", scenario_small10},
    {"gib", scenario_gib},
    {"mib-chunks", scenario_mib_chunks},
    {"signals", scenario_signals},
    {"sleepers", scenario_sleepers},
    {"spawner", scenario_spawner},
    {"fastbins", scenario_fastbins},
    {"damaged", scenario_damaged},
    {"exiter", scenario_exiter},
    {"zombie", scenario_zombie},
    {"traced", scenario_traced},
    {"vfork", scenario_vfork},
    {"swapped", scenario_swapped},
};

uint64_t argument_number(struct arguments arguments, int index, uint64_t otherwise) {
  if (index >= arguments.count) return otherwise;
  char *end;
  unsigned long long value = strtoull(arguments.values[index], &end, 0);
  if (*end != 0 || end == arguments.values[index]) fail("an argument is not a number");
  return value;
}

int main(int count, char **values) {
  if (count < 2) fail("usage: HeapScenario NAME [--heartbeat] [ARGUMENT ...]");
  const char *name = values[1];
  struct arguments arguments = {count - 2, values + 2};
  if (arguments.count > 0 && strcmp(arguments.values[0], "--heartbeat") == 0) {
    arguments.count--;
    arguments.values++;
    heartbeat_start();
  }
  for (size_t index = 0; index < sizeof scenarios / sizeof scenarios[0]; index++) {
    if (strcmp(scenarios[index].name, name) != 0) continue;
    scenarios[index].run(arguments);
    // Not exit: a damaged heap must not be touched again.
    _exit(0);
  }
  fail("no scenario of that name");
}
