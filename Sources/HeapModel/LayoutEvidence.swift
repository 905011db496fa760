// On what a result rests: what was decided about a malloc, by which evidence.

/// One thing that was decided about a copy of malloc.
package struct LayoutEvidence: Hashable, Sendable {
  /// The file that holds the malloc.
  package var file: String
  /// What it is about, such as `main_arena`.
  package var what: String
  /// What was decided.
  package var value: String
  /// The evidence that decided it.
  package var decidedBy: String
  /// Other evidence that says the same.
  package var confirmedBy: [String]

  /// Makes evidence.
  package init(
    file: String, what: String, value: String, decidedBy: String, confirmedBy: [String] = []
  ) {
    self.file = file
    self.what = what
    self.value = value
    self.decidedBy = decidedBy
    self.confirmedBy = confirmedBy
  }
}
