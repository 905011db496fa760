// The benchmark: what malloscope costs its target and its user, beside a bare copy of the same bytes.
//
// swift run -c release HeapBenchmark [--quick] [--runs N] [CASE[:MODE] ...]

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
    print("\(options.runs) runs in each mode, after one that does not count")
    for benchmark in options.cases {
      print("\n" + (try CaseMeasurement(benchmark, options).text))
      fflush(nil)
    }
    if options.measuresThreads {
      print("\n" + (try ThreadMeasurement(runs: options.runs).text))
    }
    if options.measuresDiscovery {
      print("\n" + (try DiscoveryMeasurement(runs: options.runs).text))
      fflush(nil)
    }
    if options.measuresTypes {
      print("\n" + (try TypesMeasurement(runs: options.runs).text))
      fflush(nil)
    }
    if options.measuresWatch {
      for heap in WatchMeasurement.heaps.prefix(options.watchHeaps) {
        print("\n" + (try WatchMeasurement(heap, samples: options.watchSamples).text))
        fflush(nil)
      }
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
