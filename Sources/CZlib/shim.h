// The part of zlib that malloscope calls: it compresses profiles in memory. libelf needs zlib, too, so
// that it is there wherever malloscope is built or runs.
#include <zlib.h>
