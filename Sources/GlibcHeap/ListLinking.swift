// How glibc stores the next pointer of a singly linked list of free chunks.

/// Whether the pointers within tcache and fastbin lists are masked (safe-linking, glibc 2.32 on and
/// back-ported elsewhere), which is told by decoding real ones both ways.
enum ListLinking {
  case plain
  /// Stored as the pointer XOR the storing field's own address shifted right by 12, whatever the
  /// page size.
  case masked

  /// The pointer that `stored` in the field at `field` stands for.
  func next(stored: UInt64, field: UInt64) -> UInt64 {
    switch self {
    case .plain: stored
    case .masked: stored ^ (field >> 12)
    }
  }
}
