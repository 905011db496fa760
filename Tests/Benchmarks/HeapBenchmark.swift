// The benchmark: what malloscope costs its target and its user, beside a bare copy of the same bytes.
//
// swift run -c release HeapBenchmark [--quick] [--runs N] [CASE ...]

import Glibc
import TestKit

@main
enum HeapBenchmark {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if arguments.first == CopyServer.verb {
      exit(CopyServer.serve(arguments.dropFirst().map { $0 }))
    }
    let options: Options
    do throws(UsageError) {
      options = try Options(arguments)
    } catch {
      writeError("\(error.fact)\n\(Options.usage)")
      exit(64)
    }
    do {
      try run(options)
    } catch {
      writeError("could not measure: \(error)")
      exit(1)
    }
  }

  private static func run(_ options: Options) throws {
    let machine = Machine()
    print(machine.text)
    print("\(options.runs) runs a case, after one that does not count")
    for benchmark in options.cases {
      let measurement = try Measurement(benchmark, options)
      print("\n" + measurement.text)
      fflush(nil)
    }
    print("\nload average \(machine.loadAverage) before, \(Machine().loadAverage) after")
  }
}

/// Writes a line to standard error.
func writeError(_ text: String) {
  let line = Array("HeapBenchmark: \(text)\n".utf8)
  // Nothing can be done where even this fails.
  _ = write(STDERR_FILENO, line, line.count)
}

/// A command line that cannot be understood.
struct UsageError: Error {
  /// What is wrong with it.
  let fact: String
}

/// What is asked for.
struct Options {
  /// The line that a wrong command line is answered with.
  static let usage =
    "usage: HeapBenchmark [--quick] [--runs N] [CASE ...]; cases: "
    + BenchmarkCase.all.map(\.name).joined(separator: ", ")

  /// How often each case is measured.
  private(set) var runs = 15
  /// How often gdb is, which takes much longer.
  private(set) var gdbRuns = 5
  /// The cases, in the order asked for.
  private(set) var cases: [BenchmarkCase] = []

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
      case "--runs":
        guard let number = rest.popFirst().flatMap({ Int($0) }), 1...1000 ~= number else {
          throw UsageError(fact: "--runs takes a number from 1 to 1000")
        }
        runsAsked = number
      default:
        guard let known = BenchmarkCase.all.first(where: { $0.name == argument }) else {
          throw UsageError(fact: "no case or option \(argument)")
        }
        cases.append(known)
      }
    }
    runs = runsAsked ?? runs
    if cases.isEmpty { cases = BenchmarkCase.all }
  }
}
