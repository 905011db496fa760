// The benchmark's command line.

/// A command line that cannot be understood.
struct UsageError: Error {
  /// What is wrong with it.
  let fact: String
}

/// What is asked for.
struct Options {
  /// What a wrong command line is answered with.
  static var usage: String {
    let cases = BenchmarkCase.all.map { benchmark in
      "\(benchmark.name) (\(benchmark.modes.map(\.name).joined(separator: ", ")))"
    }
    return """
      usage: HeapBenchmark [--quick] [--runs N] [CASE[:MODE] ...]
      cases and modes: \(cases.joined(separator: "; ")); \(ThreadMeasurement.name); \
      \(DiscoveryMeasurement.name); \(TypesMeasurement.name); \(WatchMeasurement.name)
      """
  }

  /// How often each mode is measured.
  private(set) var runs = 20
  /// How often gdb is, which takes much longer.
  private(set) var gdbRuns = 5
  /// How often gcore is, which takes longest and is left out when in a hurry.
  private(set) var gcoreRuns = 3
  /// The cases, in the order asked for, with the modes asked for.
  private(set) var cases: [BenchmarkCase] = []
  /// Whether processes of many threads are measured.
  private(set) var measuresThreads = false
  /// Whether finding malloc among many files is.
  private(set) var measuresDiscovery = false
  /// Whether telling types is.
  private(set) var measuresTypes = false

  /// Whether `watch` is measured.
  private(set) var measuresWatch = false
  /// On how many heaps: the large one takes minutes, since the interval stretches.
  private(set) var watchHeaps = WatchMeasurement.heaps.count
  /// For how many samples.
  private(set) var watchSamples = 30

  /// Reads the arguments after the program's name.
  ///
  /// - Throws: `UsageError`.
  init(_ arguments: [String]) throws(UsageError) {
    var rest = arguments[...]
    var runsAsked: Int?
    while let argument = rest.popFirst() {
      switch argument {
      case "--quick":
        runs = 3
        gdbRuns = 1
        gcoreRuns = 0
        watchSamples = 8
        watchHeaps = 1
      case "--runs":
        guard let number = rest.popFirst().flatMap({ Int($0) }), 1...1000 ~= number else {
          throw UsageError(fact: "--runs takes a number from 1 to 1000")
        }
        runsAsked = number
      case ThreadMeasurement.name: measuresThreads = true
      case DiscoveryMeasurement.name: measuresDiscovery = true
      case TypesMeasurement.name: measuresTypes = true
      case WatchMeasurement.name: measuresWatch = true
      default: cases.append(try Self.benchmark(argument))
      }
    }
    runs = runsAsked ?? runs
    guard cases.isEmpty, !measuresThreads, !measuresDiscovery, !measuresTypes, !measuresWatch
    else { return }
    cases = BenchmarkCase.all
    measuresThreads = true
    measuresDiscovery = true
    measuresTypes = true
    measuresWatch = true
  }

  /// The case of that name, with all its modes or the one behind the colon.
  private static func benchmark(_ argument: String) throws(UsageError) -> BenchmarkCase {
    let names = argument.split(separator: ":", omittingEmptySubsequences: false)
    guard names.count <= 2, let known = BenchmarkCase.all.first(where: { $0.name == names[0] })
    else { throw UsageError(fact: "no case or option \(argument)") }
    guard names.count == 2 else { return known }
    var part = known
    part.modes.removeAll { $0.name != names[1] }
    if part.modes.isEmpty { throw UsageError(fact: "no mode \(names[1]) of \(known.name)") }
    return part
  }
}
