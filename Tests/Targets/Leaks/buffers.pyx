# cython: language_level=3
# An extension type that forgets to free the memory that its constructor takes.
from libc.stdlib cimport malloc, rand
from libc.string cimport memset

cdef size_t leaked_count = 0
cdef size_t leaked_size = 0


def leaked():
  """How many buffers were left behind, and the bytes that were asked for."""
  return leaked_count, leaked_size


cdef class Buffer:
  """Between 40 and 80 KiB of memory of malloc."""
  cdef void *memory
  cdef size_t size

  def __cinit__(self):
    self.size = 40 * 1024 + rand() % (40 * 1024 + 1)
    self.memory = malloc(self.size)
    if self.memory is NULL:
      raise MemoryError()
    memset(self.memory, 1, self.size)

  def __dealloc__(self):
    # Here free(self.memory) is missing.
    global leaked_count, leaked_size
    if self.memory is not NULL:
      leaked_count += 1
      leaked_size += self.size
