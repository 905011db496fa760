// What clang's libFuzzer offers to a program that has a main of its own.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Takes its options out of the arguments and calls `run` with one input after the other; returns the
// exit code. (LLVM documentation, "Using libFuzzer as a library".)
int LLVMFuzzerRunDriver(int *count, char ***arguments, int (*run)(const uint8_t *bytes, size_t count));
