// What this program is, for --version and for lines to report.

import CVersion
import Symbols

/// What this program is.
enum Version {
  /// The version number.
  static let number = "0.1.0"

  /// The program in one line, with what it was built from.
  static var line: String {
    // Only the packages' build says which commit it is: a plain one cannot know whether what SwiftPM
    // told it earlier still holds.
    guard let commit = unsafe cversion_commit() else {
      return "malloscope \(number) (built from source, commit not recorded)"
    }
    return unsafe "malloscope \(number) (commit \(String(cString: commit)))"
  }

  /// What `--version` prints.
  static var text: String {
    """
    \(line)
    elfutils \(Elfutils.version)
    glibc 2.31 to 2.44 tested, layouts from 2.17 on known
    """
  }
}
