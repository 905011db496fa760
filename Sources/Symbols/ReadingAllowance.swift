// How much memory the symbols and types of one process may take.

/// A countdown for all files of one process, which can have mapped thousands of them.
///
/// What each file can take has bounds of its own: what was begun is read to its end.
final class ReadingAllowance {
  /// How many bytes are left.
  private var bytesLeft: Int

  /// Allows `byteCount` bytes.
  init(_ byteCount: Int = 2 << 30) {
    bytesLeft = byteCount
  }

  /// Whether nothing more is to be read.
  var isUsedUp: Bool { bytesLeft <= 0 }

  /// Takes account of `count` bytes, which is no more than a file can have.
  func take(_ count: Int) {
    bytesLeft -= min(count, bytesLeft)
  }
}
