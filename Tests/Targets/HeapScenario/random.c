// A deterministic generator: the same seed makes the same heap on every machine.
#include "scenario.h"

struct dice dice_seeded(uint64_t seed) {
  // Any state but zero will do; the odd constant spreads small seeds over all bits.
  return (struct dice){seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du};
}

uint64_t dice_roll(struct dice *dice) {
  uint64_t value = dice->state;
  if (value == 0) value = 1;
  value ^= value << 13;
  value ^= value >> 7;
  value ^= value << 17;
  dice->state = value;
  return value >> 11;
}

uint64_t dice_below(struct dice *dice, uint64_t limit) { return dice_roll(dice) % limit; }

size_t dice_size(struct dice *dice) {
  uint64_t kind = dice_below(dice, 1000);
  if (kind < 700) return 1 + dice_below(dice, 256);
  if (kind < 920) return 1 + dice_below(dice, 2048);
  if (kind < 995) return 1 + dice_below(dice, 20000);
  return 1 + dice_below(dice, 100000);
}
