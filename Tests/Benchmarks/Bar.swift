// What is promised of a figure.

/// The most that a figure may be.
struct Bar {
  /// What a figure is compared with.
  enum Limit {
    /// So much, in the figure's unit.
    case value(Double)
    /// So many times what else was measured in turn with it.
    case times(Double, Reference)
    /// Such a part of what the target holds.
    case partOfHeld(Double)
  }

  /// What is measured in turn with the tool.
  enum Reference {
    /// process_vm_readv of as many bytes from the same process.
    case rawCopy
    /// The system call that clones the same process.
    case bareClone
  }

  /// In which runs it must not be more.
  enum Runs {
    /// In the middle one.
    case median
    /// In every one.
    case all
    /// In all but one of each so many.
    case allButOneIn(Int)
  }

  /// The figure.
  let figure: Figure
  /// The most.
  let limit: Limit
  /// In which runs.
  let runs: Runs

  /// Makes a bar, by default for the median.
  init(_ figure: Figure, _ limit: Limit, in runs: Runs = .median) {
    self.figure = figure
    self.limit = limit
    self.runs = runs
  }

  /// What is promised of every run.
  static let always = [Bar(.peakMemory, .value(64), in: .all)]
  /// The blocks are the target's, one for one.
  static let exact = [Bar(.blocksOff, .value(0), in: .all), Bar(.bytesOff, .value(0), in: .all)]
  /// The blocks are the target's but for one in a thousand.
  static let nearTruth = [
    Bar(.blocksOff, .partOfHeld(0.001), in: .all), Bar(.bytesOff, .partOfHeld(0.001), in: .all),
  ]
}
