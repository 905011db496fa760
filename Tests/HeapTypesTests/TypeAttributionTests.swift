// What chunks hold, told from bytes that the tests build.

import Testing

@Suite struct TypeAttributionTests {}
