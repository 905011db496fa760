// The part of elfutils that malloscope calls: libelf reads ELF files of any class and byte order
// with every offset checked against the file's size.
#include <elf.h>
#include <gelf.h>
#include <libelf.h>
