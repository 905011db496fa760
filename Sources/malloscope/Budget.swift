// What a capture may cost the target and the machine: by an option, or for a whole fleet by the environment.

import ArgumentParser

/// A limit that has an option and a variable of the environment; the option counts more.
enum Budget: CaseIterable {
  /// How long one stop may last, in milliseconds.
  case pause
  /// The share of the time in which the target may stand still, in percent.
  case stopped
  /// The share of one processor that this tool may use, in percent.
  case processor
  /// The memory that this tool may have, in MiB.
  case memory

  /// The option, as it is typed.
  var option: String {
    switch self {
    case .pause: "--max-pause"
    case .stopped: "--max-stopped"
    case .processor: "--max-cpu"
    case .memory: "--max-memory"
    }
  }

  /// The variable of the environment.
  var variable: String {
    switch self {
    case .pause: "MALLOSCOPE_MAX_PAUSE"
    case .stopped: "MALLOSCOPE_MAX_STOPPED"
    case .processor: "MALLOSCOPE_MAX_CPU"
    case .memory: "MALLOSCOPE_MAX_MEMORY"
    }
  }

  /// What it is, in words.
  private var bounds: (values: ClosedRange<Double>, words: String) {
    switch self {
    case .pause: (0.1...60_000, "0.1 to 60000 milliseconds")
    case .stopped: (0.01...100, "0.01 to 100 percent")
    case .processor: (1...100, "1 to 100 percent of a processor")
    case .memory: (1...1_048_576, "1 to 1048576 MiB")
    }
  }

  /// Refuses the value of the option if it is out of bounds.
  func check(_ value: Double?) throws(ValidationError) {
    if let value, !bounds.values.contains(value) {
      throw ValidationError("\(option) is \(bounds.words)")
    }
  }

  /// The value that holds: the option's, if it was `given`, else the environment's; nil without both.
  ///
  /// - Throws: a failure if the environment's is none.
  func value(_ given: Double?) throws(Failure) -> Double? {
    if let given { return given }
    guard let text = Environment.value(variable) else { return nil }
    guard let value = Double(text), bounds.values.contains(value) else {
      throw Failure(
        code: .usage, fact: "the environment has \(variable)=\(text), but it is \(bounds.words)",
        hints: ["set it to a plain number, or unset it", "\(option) counts more than it"])
    }
    return value
  }
}
