// From the bytes that a terminal sends to keys.

/// What reads keys from a terminal's bytes, however they are cut into reads.
///
/// What is no key vanishes: reports, the mouse, the brackets around pasted text, malformed UTF-8.
package struct KeyDecoder: Sendable {
  /// What has been read of something that is not whole yet; short.
  private var partial: [UInt8] = []
  private var skipped = Skipped.nothing

  /// What is being passed over, however long it is.
  private enum Skipped {
    case nothing
    /// A control sequence up to its final byte.
    case sequence
    /// A string up to its terminator, ESC \ or BEL.
    case string
  }

  /// No control sequence of a key is as long.
  private static let greatestSequence = 32

  /// Makes a decoder that has read nothing.
  package init() {}

  /// Whether something has been begun, perhaps only by the escape key.
  ///
  /// If nothing follows within some 50 ms, `finish` says what it was.
  package var isWaiting: Bool { !partial.isEmpty || skipped != .nothing }

  /// The keys that `bytes` complete.
  package mutating func keys(from bytes: [UInt8]) -> [Key] {
    let input = partial + bytes
    partial = []
    var keys: [Key] = []
    var rest = input[...]
    while !rest.isEmpty {
      switch step(rest) {
      case .read(let count, let key):
        if let key { keys.append(key) }
        rest = rest.dropFirst(count)
      case .needsMore:
        partial = Array(rest)
        rest = []
      }
    }
    return keys
  }

  /// The keys that were begun, if nothing more comes: an escape that stands alone is the key.
  package mutating func finish() -> [Key] {
    defer {
      partial = []
      skipped = .nothing
    }
    guard skipped == .nothing, partial.allSatisfy({ $0 == escape }) else { return [] }
    return partial.map { _ in .escape }
  }

  private enum Step {
    /// So many bytes, at least one, are done with.
    case read(Int, Key?)
    case needsMore
  }

  private mutating func step(_ rest: ArraySlice<UInt8>) -> Step {
    switch skipped {
    case .string: return stepThroughString(rest)
    case .sequence: return stepThroughSequence(rest)
    case .nothing: break
    }
    let bytes = Array(rest.prefix(Self.greatestSequence))
    switch bytes[0] {
    case escape:
      return stepAfterEscape(bytes)
    case 0x80...:
      guard let (byteCount, key) = Self.character(in: bytes) else { return .needsMore }
      return .read(byteCount, key)
    default:
      return .read(1, Self.key(ofByte: bytes[0]))
    }
  }

  private mutating func stepAfterEscape(_ bytes: [UInt8]) -> Step {
    guard bytes.count > 1 else { return .needsMore }
    switch bytes[1] {
    case UInt8(ascii: "["):
      return stepThroughControlSequence(bytes)
    case UInt8(ascii: "O"):
      // Some terminals put the modifiers' digits before the letter.
      guard let end = bytes.dropFirst(2).firstIndex(where: { !(0x30...0x3B).contains($0) })
      else { return needsMore(bytes) }
      let final = bytes[end]
      guard (0x20...0x7E).contains(final) else { return .read(end, nil) }
      return .read(end + 1, KeySequences.key(shiftedThree: final))
    case UInt8(ascii: "P"), UInt8(ascii: "]"), UInt8(ascii: "X"), UInt8(ascii: "^"),
      UInt8(ascii: "_"):
      skipped = .string
      return .read(2, nil)
    case escape:
      // rxvt sends keys with Alt so. Else it was the escape key.
      guard bytes.count > 2 else { return .needsMore }
      let isAlt = bytes[2] == UInt8(ascii: "[") || bytes[2] == UInt8(ascii: "O")
      return .read(1, isAlt ? nil : .escape)
    default:
      // A key with Alt: what follows is read for itself.
      return .read(1, nil)
    }
  }

  private mutating func stepThroughControlSequence(_ bytes: [UInt8]) -> Step {
    guard bytes.count > 2 else { return .needsMore }
    if bytes[2] == UInt8(ascii: "[") {
      return bytes.count > 3 ? .read(4, KeySequences.key(linuxConsole: bytes[3])) : .needsMore
    }
    if bytes[2] == UInt8(ascii: "M") {
      // The mouse in its oldest form: three bytes of any value.
      return bytes.count > 5 ? .read(6, nil) : .needsMore
    }
    let end = bytes.dropFirst(2).firstIndex { !(0x30...0x3F).contains($0) } ?? bytes.count
    guard end < bytes.count else { return needsMore(bytes) }
    let parameters = bytes[2..<end]
    // rxvt ends keys with Shift by a dollar, which elsewhere is followed by a final byte.
    let isShifted =
      bytes[end] == UInt8(ascii: "$")
      && !parameters.isEmpty && parameters.allSatisfy { $0 <= 0x39 }
    if (0x40...0x7E).contains(bytes[end]) || isShifted {
      return .read(end + 1, KeySequences.key(parameters: parameters, final: bytes[end]))
    }
    guard (0x20...0x2F).contains(bytes[end]) else { return .read(end, nil) }
    skipped = .sequence
    return .read(end, nil)
  }

  /// More bytes are needed, unless there are too many already.
  private mutating func needsMore(_ bytes: [UInt8]) -> Step {
    guard bytes.count >= Self.greatestSequence else { return .needsMore }
    skipped = .sequence
    return .read(bytes.count, nil)
  }

  private mutating func stepThroughSequence(_ rest: ArraySlice<UInt8>) -> Step {
    let count = rest.prefix { (0x20...0x3F).contains($0) }.count
    guard let final = rest.dropFirst(count).first else { return .read(count, nil) }
    skipped = .nothing
    if (0x40...0x7E).contains(final) { return .read(count + 1, nil) }
    // It was cut off; what has come instead is read for itself.
    return count > 0 ? .read(count, nil) : step(rest)
  }

  private mutating func stepThroughString(_ rest: ArraySlice<UInt8>) -> Step {
    let count = rest.prefix { $0 != 0x07 && $0 != escape }.count
    guard let end = rest.dropFirst(count).first else { return .read(count, nil) }
    if end == 0x07 {
      skipped = .nothing
      return .read(count + 1, nil)
    }
    guard let following = rest.dropFirst(count + 1).first else {
      return count > 0 ? .read(count, nil) : .needsMore
    }
    skipped = .nothing
    if following == UInt8(ascii: "\\") { return .read(count + 2, nil) }
    return count > 0 ? .read(count, nil) : step(rest)
  }
}

private let escape: UInt8 = 0x1B
