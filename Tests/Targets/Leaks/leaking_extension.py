# Makes an object of the extension type in buffers.pyx every few milliseconds, and drops it.
#
# leaking_extension.py MILLISECONDS, with the directory of the built module in PYTHONPATH.
import sys

import buffers

from questions import Questions


def state():
  count, size = buffers.leaked()
  return {"count": count, "bytes": size}


print("ready", flush=True)
Questions(state).repeat_every(float(sys.argv[1]) / 1000, buffers.Buffer)
