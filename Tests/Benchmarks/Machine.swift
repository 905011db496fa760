// What the figures were measured on.

import Glibc
import TestKit

/// The machine and the build, as far as they bear on the figures.
struct Machine {
  /// The three load averages at the moment.
  let loadAverage: String

  /// Looks at the machine.
  init() {
    loadAverage = Self.line("/proc/loadavg").split(separator: " ").prefix(3)
      .joined(separator: " ")
  }

  /// Three lines.
  var text: String {
    """
    HeapBenchmark, \(Self.build)
    \(Self.processor), \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors, \
    Linux \(Self.line("/proc/sys/kernel/osrelease"))
    pages of \(sysconf(Int32(_SC_PAGESIZE))) bytes, transparent huge pages \(Self.hugePages)
    """
  }

  private static var build: String {
    #if DEBUG
      "debug build: the figures say little, use -c release"
    #else
      "release build"
    #endif
  }

  private static var processor: String {
    for line in text("/proc/cpuinfo").split(separator: "\n") where line.hasPrefix("model name") {
      return line.split(separator: ":").last.map { $0.drop { $0 == " " } }.map(String.init) ?? ""
    }
    // Arm's cpuinfo has numbers only.
    return "processor without a name"
  }

  /// The setting in brackets.
  private static var hugePages: String {
    let setting = line("/sys/kernel/mm/transparent_hugepage/enabled")
      .drop { $0 != "[" }.dropFirst().prefix { $0 != "]" }
    return setting.isEmpty ? "absent" : String(setting)
  }

  /// The most memory that this program has had resident, in bytes.
  ///
  /// Not by getrusage, which counts what ran in this process before: `swift run`.
  static var ownPeakBytes: UInt64 {
    for line in text("/proc/self/status").split(separator: "\n") where line.hasPrefix("VmHWM:") {
      let number = line.dropFirst(6).drop { !$0.isNumber }.prefix { $0.isNumber }
      if let kibibytes = UInt64(number) { return kibibytes * 1024 }
    }
    return .max
  }

  private static func line(_ path: String) -> String {
    String(text(path).prefix { $0 != "\n" })
  }

  /// The file's text, empty where the machine has no such file.
  private static func text(_ path: String) -> String {
    (try? contents(ofFile: path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }
}
