// The options about what chunks hold.

import ArgumentParser
import HeapAnalysis

extension TypeGrouping: ExpressibleByArgument {}

/// Which types are shown.
struct TypeChoiceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Only types whose names the regular expression matches anywhere, and chunks of the sizes behind it: \
      'std::.*', '^app::Session$[2k+]', '[1k-8k]'; malloc or non-object for all that is neither C++ nor \
      Swift.
      """, valueName: "pattern"))
  var filter: String?

  /// The choice, nil for all.
  ///
  /// - Throws: a failure if the pattern is none.
  func pattern() throws(Failure) -> TypePattern? {
    guard let filter else { return nil }
    do throws(TypePatternError) {
      return try TypePattern(parsing: filter)
    } catch {
      throw Failure(error)
    }
  }
}
