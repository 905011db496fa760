// The recorder's table; every function is safe from any thread and allocates nothing.
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>

// Notes that the program holds `block`; NULL is ignored.
void table_add(void *block);
// Notes that it does not any more. Called before the block is really freed, because another thread
// may be given the same address at once.
void table_remove(void *block);

#endif
