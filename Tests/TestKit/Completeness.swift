// Whether a test that lacks something may be passed over.

import Glibc

/// Whether nothing may be skipped: with `CI=true`, where everything has been installed.
package let mustRunEverything = getenv("CI").map { String(cString: $0) == "true" } ?? false
