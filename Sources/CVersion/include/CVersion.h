// What this program was built from. A target of its own, so that another commit compiles one file.
#ifndef CVERSION_H
#define CVERSION_H

// The commit that was built, with "-dirty" behind it if files had been changed, or NULL if nobody said
// so to the build: Sources/Packaging/package does, by MALLOSCOPE_COMMIT in the environment.
const char *cversion_commit(void);

#endif
