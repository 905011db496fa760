// Short names for files in which many types are.

/// Numbers for the paths of files, each given once.
///
/// Types are told apart by their file, too: a target may have as many of one name as it has files mapped. But hashing
/// a path with each type takes as long as all else that is done with it.
package struct BinaryNumbers: Sendable {
  private var numbers: [String?: Int] = [:]
  private var last: (path: String?, number: Int)?

  /// Begins with none.
  package init() {}

  /// The number of `path`, a new one if it has none yet; types of no file have one, too.
  package mutating func number(of path: String?) -> Int {
    // Mostly types of one file follow each other.
    if let last, last.path == path { return last.number }
    let number = numbers[path] ?? numbers.count
    numbers[path] = number
    last = (path, number)
    return number
  }
}
