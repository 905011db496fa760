// The clocks of a watch.

import CPtrace
import Glibc

/// The clock by which samples are timed.
enum WatchClock {
  /// Seconds of CLOCK_MONOTONIC.
  static var now: Double { Double(cpt_now()) / 1e9 }

  /// The time of day, as `16:02:11`, or as `20261124-160211` for a file's name.
  static func timeOfDay(forFileName: Bool = false) -> String {
    var seconds = time(nil)
    var parts = tm()
    guard unsafe localtime_r(&seconds, &parts) != nil else { return "" }
    var text = [CChar](repeating: 0, count: 32)
    let count = unsafe strftime(
      &text, text.count, forFileName ? "%Y%m%d-%H%M%S" : "%H:%M:%S", &parts)
    return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
