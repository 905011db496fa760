// Where a report's bytes go; the reports themselves write nowhere.

/// A receiver of a report's bytes, in order.
package protocol ByteSink: ~Copyable {
  /// Why bytes could not be taken.
  associatedtype Failure: Error

  /// Takes all of `bytes`.
  ///
  /// - Throws: `Failure` if they cannot all be taken; the report then ends.
  mutating func write(_ bytes: Span<UInt8>) throws(Failure)
}

/// A report kept in memory.
package struct MemorySink: ByteSink {
  /// Everything written so far.
  package private(set) var bytes: [UInt8] = []

  /// Makes an empty one.
  package init() {}

  package mutating func write(_ bytes: Span<UInt8>) throws(Never) {
    self.bytes.reserveCapacity(self.bytes.count + bytes.count)
    for index in bytes.indices { self.bytes.append(bytes[index]) }
  }

  /// Everything written so far, as text.
  package var text: String { String(decoding: bytes, as: UTF8.self) }
}
