// Prometheus' text format, version 0.0.4, as much of it as gauges need.

/// Families of gauges in the making, each in one piece, without times.
struct MetricsWriter {
  private(set) var buffer = OutputBuffer()
  /// What every sample has, already escaped: `pid="1",command="x"`.
  private let common: String

  init(common: [(String, String)]) {
    self.common = Self.list(common)
  }

  /// Writes a family; `help` is one sentence.
  mutating func gauge(
    _ name: String, _ help: String, _ samples: [(labels: [(String, String)], value: String)]
  ) {
    guard !samples.isEmpty else { return }
    buffer.append("# HELP \(name) \(help)\n# TYPE \(name) gauge\n")
    for sample in samples {
      let labels = [common, Self.list(sample.labels)].filter { !$0.isEmpty }
      buffer.append("\(name){\(labels.joined(separator: ","))} \(sample.value)\n")
    }
  }

  /// Writes a family of one sample.
  mutating func gauge(_ name: String, _ help: String, _ value: String) {
    gauge(name, help, [([], value)])
  }

  /// Writes a family of numbers that differ in one label.
  mutating func gauge(
    _ name: String, _ help: String, by label: String, _ values: [(String, UInt64)]
  ) {
    gauge(name, help, values.map { ([(label, $0.0)], String($0.1)) })
  }

  private static func list(_ labels: [(String, String)]) -> String {
    labels.map { "\($0.0)=\"\(escaped($0.1))\"" }.joined(separator: ",")
  }

  /// A label's value: the format itself escapes three characters, and what else controls a terminal is
  /// written as in the other reports.
  private static func escaped(_ value: String) -> String {
    var result = ""
    for scalar in value.printable.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
