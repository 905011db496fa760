#include "AllocationRecorder.h"
