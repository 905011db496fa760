// What is measured of a run of the tool.

/// A number that each run has.
enum Figure: CaseIterable {
  /// The longest time for which the target's heartbeat did not run.
  case gap
  /// The longest stop, as the tool says.
  case longestStop
  /// All stops together, as the tool says.
  case totalStop
  /// From before posix_spawn to after its end.
  case wholeRun
  /// How often the target was stopped.
  case stops
  /// How often the tool had lost its place in a heap that went on changing.
  case resynchronisations
  /// How often it stopped again to find no thread inside malloc.
  case retries
  /// What was copied.
  case copied
  /// The most that the tool had resident.
  case peakMemory
  /// How many blocks too many or too few it saw.
  case blocksOff
  /// How many bytes of blocks too many or too few it saw.
  case bytesOff

  /// The kind of number that it is.
  enum Unit {
    /// Milliseconds.
    case milliseconds
    /// Mebibytes.
    case mebibytes
    /// Times.
    case count
    /// A part of what the target holds.
    case ofHeld
  }

  /// Its unit.
  var unit: Unit {
    switch self {
    case .gap, .longestStop, .totalStop, .wholeRun: .milliseconds
    case .copied, .peakMemory: .mebibytes
    case .stops, .resynchronisations, .retries: .count
    case .blocksOff, .bytesOff: .ofHeld
    }
  }

  /// What it is called in a table.
  var label: String {
    switch self {
    case .gap: "longest gap, as seen"
    case .longestStop: "longest stop"
    case .totalStop: "total stop"
    case .wholeRun: "whole run"
    case .stops: "stops"
    case .resynchronisations: "resynchronisations"
    case .retries: "retries"
    case .copied: "copied"
    case .peakMemory: "peak memory"
    case .blocksOff: "blocks off"
    case .bytesOff: "bytes off"
    }
  }
}

extension Figure.Unit {
  /// `value` with the unit's name.
  func text(_ value: Double) -> String {
    let number = decimal(value, decimals)
    return switch self {
    case .milliseconds: number + " ms"
    case .mebibytes: number + " MiB"
    case .count, .ofHeld: number
    }
  }

  /// How many digits after the point are worth looking at.
  var decimals: Int {
    switch self {
    case .milliseconds, .mebibytes: 1
    case .count, .ofHeld: 0
    }
  }
}
