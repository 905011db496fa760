#include "CVersion.h"

#include <stddef.h>

const char *cversion_commit(void) {
#ifdef MALLOSCOPE_COMMIT
  return MALLOSCOPE_COMMIT;
#else
  return NULL;
#endif
}
