// The demanglers of names: libiberty's for C++ and Rust, the Swift runtime's for Swift.
//
// libiberty's C++ demangler is that of the C++ runtime, whose own interface cannot be told how long a result
// may be: a name of a hundred bytes can stand for one that fills the memory.
#ifndef CDEMANGLE_H
#define CDEMANGLE_H

#include <stddef.h>
#include <stdint.h>

// Writes the source's name for a C++ linker's name, or for the encoding of a type, into `buffer` and returns
// its length; -1 if it is none, or longer than `capacity`. Nothing ends the text. The name is to have at most
// 4 KiB: what is taken of the stack grows with it.
int64_t cdm_cxx(const char *name, char *buffer, size_t capacity);

// The same for Rust's names, of both versions, without the hash of the first.
int64_t cdm_rust(const char *name, char *buffer, size_t capacity);

// Of the Swift runtime (stdlib/public/runtime/Demangle.cpp): fills `buffer`, of `size` bytes, with the source's
// name and a zero byte, cut off if it must be; NULL for what is no Swift name.
char *swift_demangle(const char *name, size_t length, char *buffer, size_t *size, uint32_t flags);

#endif
