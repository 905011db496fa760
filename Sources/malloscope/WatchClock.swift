// The clocks of a watch.

import CPtrace
import Glibc

/// The clock by which samples are timed.
enum WatchClock {
  /// Seconds of CLOCK_MONOTONIC.
  static var now: Double { Double(cpt_now()) / 1e9 }

  /// Nanoseconds since 1970 began.
  static var sinceEpoch: Int64 {
    var now = timespec()
    guard unsafe clock_gettime(CLOCK_REALTIME, &now) == 0 else { return 0 }
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
  }

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
