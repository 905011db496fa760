# Run inside gdb, attached to a process: what it says of the first words of blocks.
#
# $FIRST_WORDS names a file with an address in each line. For each of them a line is printed: the address,
# what `info symbol` says of the word there, and the name of the class by the C++ type information that
# the word leads to, all set apart by tabs. Type information is known by gdb's name for its own vtable.
import os

import gdb

memory = gdb.selected_inferior()


def word(address):
  return int.from_bytes(memory.read_memory(address, 8).tobytes(), "little")


def symbol(address):
  text = gdb.execute(f"info symbol {address:#x}", to_string=True).strip()
  return "" if text.startswith("No symbol matches") else text


def class_name(table):
  try:
    information = word(table - 8)
    if not symbol(word(information)).startswith("vtable for __cxxabiv1::__"):
      return ""
    name = gdb.Value(word(information + 8)).cast(gdb.lookup_type("char").pointer()).string()
  except (gdb.error, OverflowError, ValueError):
    return ""
  text = gdb.execute(f"demangle -l c++ -- _ZTS{name.removeprefix('*')}", to_string=True)
  return text.strip().removeprefix("typeinfo name for ")


for line in open(os.environ["FIRST_WORDS"]):
  address = int(line, 16)
  first = word(address)
  print("first", hex(address), symbol(first), class_name(first), sep="\t")
