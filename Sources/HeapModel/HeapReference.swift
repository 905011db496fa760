// A word of the heap that may be a pointer into the heap.

/// A word in the target's heap whose value is an address in its heap.
package struct HeapReference: Hashable, Sendable, BitwiseCopyable {
  /// Where the word is.
  package var place: RemoteAddress
  /// What it holds.
  package var target: RemoteAddress

  /// Makes a reference.
  package init(place: RemoteAddress, target: RemoteAddress) {
    self.place = place
    self.target = target
  }
}
