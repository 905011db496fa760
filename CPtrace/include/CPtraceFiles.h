// Finding files, also under the root directory of another process, without opening them. Part of CPtrace.h.
#ifndef CPTRACE_FILES_H
#define CPTRACE_FILES_H

#include <stdint.h>

// Finds the file at path as a process whose root directory is root would, and returns a descriptor for
// it with O_PATH, which opens nothing. openat2(2), RESOLVE_IN_ROOT: absolute symbolic links and ".."
// stay within root, and links such as those of proc(5) are not followed. Where the kernel (before
// 5.6) or a filter does not have that call, a path with any symbolic link in it fails with -ELOOP.
int cpt_find_in_root(const char *root, const char *path);

// Finds the file at path in our own root and returns such a descriptor for it. open(2), O_PATH: neither
// does it wait for a pipe's writer nor does a device take notice.
int cpt_find(const char *path);

// The user who made the user namespace that fd is open on, as our own namespace numbers users.
// ioctl_ns(2), NS_GET_OWNER_UID: since Linux 4.11.
int64_t cpt_namespace_owner(int fd);

// A descriptor for the namespace in which that one was made. ioctl_ns(2), NS_GET_PARENT: -EPERM for one
// that is not within our own; since Linux 4.9.
int cpt_namespace_parent(int fd);

#endif
