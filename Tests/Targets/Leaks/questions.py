# How the leaking programs are asked: a line on standard input is a question, its end is theirs.
import json
import os
import select
import time


class Questions:
  """Answers each line on standard input with a line of JSON, made by a function."""

  def __init__(self, answer):
    self.answer = answer

  def read(self):
    """Answers what was asked, and returns whether standard input is still open."""
    asked = os.read(0, 4096)
    for _ in range(asked.count(b"\n")):
      print(json.dumps(self.answer()), flush=True)
    return bool(asked)

  def repeat_every(self, seconds, action):
    """Answers, and calls `action` at that rate, until standard input is closed."""
    due = time.monotonic() + seconds
    while True:
      readable, _, _ = select.select([0], [], [], max(0, due - time.monotonic()))
      if readable and not self.read():
        return
      if time.monotonic() >= due:
        action()
        # After a pause it goes on from now: what was missed is not made up for.
        due = max(due + seconds, time.monotonic())
