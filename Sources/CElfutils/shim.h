// The part of elfutils that malloscope calls: libelf reads ELF files of any class and byte order
// with every offset checked against the file's size; libdw reads the debug information in them. Of
// libdwfl only its version is asked.
#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>
#include <libelf.h>
