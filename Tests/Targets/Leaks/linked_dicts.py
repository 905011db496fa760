# A linked list of small dicts that grows at a steady rate.
#
# linked_dicts.py DICTS_PER_SECOND. Objects this small live in arenas that Python maps by itself, so
# that the process grows and malloc's heap does not.
import sys

from questions import Questions

TICK = 0.01

newest = None
count = 0
size = 0


def state():
  return {"count": count, "bytes": size}


def grow():
  global newest, count, size
  for _ in range(per_tick):
    newest = {"next": newest, "n": count}
    count += 1
    size += sys.getsizeof(newest) + sys.getsizeof(count)


per_tick = max(1, round(float(sys.argv[1]) * TICK))
print("ready", flush=True)
Questions(state).repeat_every(TICK, grow)
