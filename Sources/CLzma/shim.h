// liblzma, which libdw needs, too: .gnu_debugdata is an xz file.
#include <lzma.h>
