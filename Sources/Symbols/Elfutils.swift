// Which elfutils this program reads ELF and debug files with.

import CElfutils

/// The library that ELF and debug files are read with.
package enum Elfutils {
  /// Its version, such as `0.188`, of the library that is loaded or linked in.
  package static var version: String {
    guard let version = unsafe dwfl_version(nil) else { return "of unknown version" }
    return unsafe String(cString: version)
  }
}
