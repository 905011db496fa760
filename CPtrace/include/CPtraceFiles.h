// Finding files, also under the root directory of another process, without opening them. Part of CPtrace.h.
#ifndef CPTRACE_FILES_H
#define CPTRACE_FILES_H

// Finds the file at path as a process whose root directory is root would, and returns a descriptor for
// it with O_PATH, which opens nothing. openat2(2), RESOLVE_IN_ROOT: absolute symbolic links and ".."
// stay within root, and links such as those of proc(5) are not followed. Where the kernel (before
// 5.6) or a filter does not have that call, a path with any symbolic link in it fails with -ELOOP.
int cpt_find_in_root(const char *root, const char *path);

// Finds the file at path in our own root and returns such a descriptor for it. open(2), O_PATH: neither
// does it wait for a pipe's writer nor does a device take notice.
int cpt_find(const char *path);

#endif
