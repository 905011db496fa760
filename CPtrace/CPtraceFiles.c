// Paths within another root directory.
#define _GNU_SOURCE

#include "CPtrace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/nsfs.h>
#include <linux/openat2.h>

static int open_in_root(int root, const char *path) {
  struct open_how how;
  memset(&how, 0, sizeof how);
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT;
  long found = syscall(SYS_openat2, root, path, &how, sizeof how);
  return found < 0 ? -errno : (int)found;
}

// One component after the other, none of which may be a link or lead upwards.
static int open_without_links(int root, const char *path) {
  int place = fcntl(root, F_DUPFD_CLOEXEC, 0);
  if (place < 0) return -errno;
  while (*path) {
    char name[NAME_MAX + 1];
    size_t length = strcspn(path, "/");
    if (length > NAME_MAX) {
      close(place);
      return -ENAMETOOLONG;
    }
    memcpy(name, path, length);
    name[length] = 0;
    path += length;
    path += strspn(path, "/");
    if (length == 0 || strcmp(name, ".") == 0) continue;
    struct stat status;
    int next = -ELOOP;
    if (strcmp(name, "..") != 0) {
      next = openat(place, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
      if (next < 0) {
        next = -errno;
      } else if (fstat(next, &status) == 0 && S_ISLNK(status.st_mode)) {
        close(next);
        next = -ELOOP;
      }
    }
    close(place);
    if (next < 0) return next;
    place = next;
  }
  return place;
}

int cpt_find_in_root(const char *root, const char *path) {
  int directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -errno;
  int found = open_in_root(directory, path);
  // EPERM: filters of container engines from before the call was known.
  if (found == -ENOSYS || found == -EPERM) found = open_without_links(directory, path);
  close(directory);
  return found;
}

int cpt_find(const char *path) {
  int found = open(path, O_PATH | O_CLOEXEC);
  return found < 0 ? -errno : found;
}

int64_t cpt_namespace_owner(int fd) {
  uid_t owner = 0;
  return ioctl(fd, NS_GET_OWNER_UID, &owner) < 0 ? -(int64_t)errno : (int64_t)owner;
}

int cpt_namespace_parent(int fd) {
  int parent = ioctl(fd, NS_GET_PARENT);
  if (parent < 0) return -errno;
  // Unlike open(2), this has no flag for it.
  fcntl(parent, F_SETFD, FD_CLOEXEC);
  return parent;
}
