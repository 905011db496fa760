// Where the pages of the target are: what may be read without changing that.

/// Where the kernel has one page of the target.
package enum PageState: UInt8, Hashable, Sendable {
  /// Nowhere: never touched, given back, or not mapped at all. Reading it would enter it into the
  /// target's page tables for good.
  case untouched
  /// Swapped out. Reading it would bring it back into memory that counts as the target's, and takes
  /// as long as its device does.
  case swapped
  /// In memory.
  case resident
}

/// How far memory can be read at once without changing where its pages are.
package struct ResidentPrefix: Hashable, Sendable {
  /// How many pages are in memory before the first that is not.
  package var count: Int
  /// The state of that one, nil if all that were asked for are in memory.
  package var next: PageState?

  /// Makes a prefix.
  package init(count: Int, next: PageState?) {
    self.count = count
    self.next = next
  }
}
