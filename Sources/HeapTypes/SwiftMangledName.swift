// The encoded type names that Swift keeps for reflection, as far as they are common (docs/ABI/Mangling.rst).

import HeapModel

/// Reads one encoded name.
///
/// What is not known ends it without a result.
struct SwiftMangledName {
  private static let longest: UInt64 = 512
  /// The types that have a letter of their own after an S.
  static let standard: [UInt8: String] = [
    UInt8(ascii: "i"): "Swift.Int", UInt8(ascii: "u"): "Swift.UInt",
    UInt8(ascii: "S"): "Swift.String", UInt8(ascii: "s"): "Swift.Substring",
    UInt8(ascii: "b"): "Swift.Bool", UInt8(ascii: "d"): "Swift.Double",
    UInt8(ascii: "f"): "Swift.Float", UInt8(ascii: "J"): "Swift.Character",
    UInt8(ascii: "a"): "Swift.Array", UInt8(ascii: "D"): "Swift.Dictionary",
    UInt8(ascii: "h"): "Swift.Set", UInt8(ascii: "q"): "Swift.Optional",
    UInt8(ascii: "V"): "Swift.UnsafeRawPointer", UInt8(ascii: "v"): "Swift.UnsafeMutableRawPointer",
    UInt8(ascii: "P"): "Swift.UnsafePointer", UInt8(ascii: "p"): "Swift.UnsafeMutablePointer",
    UInt8(ascii: "R"): "Swift.UnsafeBufferPointer",
    UInt8(ascii: "r"): "Swift.UnsafeMutableBufferPointer",
  ]

  private var next: UInt64
  private let end: UInt64
  /// The types read so far; nil marks where a list begins.
  private var stack: [String?] = []
  /// Where in the stack the elements of a tuple begin.
  private var listStart = -1

  init(at address: UInt64) {
    next = address
    end = address &+ Self.longest
  }

  /// The name, nil if it has something that is not known here.
  mutating func name(
    _ cache: inout PageCache, _ spans: ImageSpans, _ contexts: SwiftContexts
  ) -> String? {
    while next < end, let byte = cache.byte(at: next, in: spans) {
      if byte == 0 { return stack.count == 1 ? stack[0] : nil }
      guard stack.count < 32, take(byte, &cache, spans, contexts) else { return nil }
    }
    return nil
  }

  private mutating func take(
    _ byte: UInt8, _ cache: inout PageCache, _ spans: ImageSpans, _ contexts: SwiftContexts
  ) -> Bool {
    if byte == 1 || byte == 2 {
      guard let context = contexts.symbolicReference(at: next, &cache, spans),
        let name = contexts.name(of: context, arguments: [], &cache, spans)
      else { return false }
      stack.append(name)
      next = next &+ 5
      return true
    }
    let following = cache.byte(at: next &+ 1, in: spans) ?? 0
    switch (byte, following) {
    case (UInt8(ascii: "S"), UInt8(ascii: "g")):
      guard let type = stack.popLast() ?? nil else { return false }
      stack.append("Swift.Optional<\(type)>")
      next = next &+ 2
    case (UInt8(ascii: "S"), _):
      guard let name = Self.standard[following] else { return false }
      stack.append(name)
      next = next &+ 2
    case (UInt8(ascii: "B"), UInt8(ascii: "o")):
      stack.append("Builtin.NativeObject")
      next = next &+ 2
    case (UInt8(ascii: "y"), UInt8(ascii: "t")):
      stack.append("()")
      next = next &+ 2
    case (UInt8(ascii: "y"), UInt8(ascii: "p")):
      stack.append("Any")
      next = next &+ 2
    case (UInt8(ascii: "y"), UInt8(ascii: "X"))
    where cache.byte(at: next &+ 2, in: spans) == UInt8(ascii: "l"):
      stack.append("Swift.AnyObject")
      next = next &+ 3
    case (UInt8(ascii: "y"), _):
      stack.append(nil)
      next = next &+ 1
    case (UInt8(ascii: "_"), UInt8(ascii: "p")):
      // A protocol's name stands there already, and makes a type of itself.
      guard case .some(.some) = stack.last else { return false }
      next = next &+ 2
    case (UInt8(ascii: "_"), _):
      listStart = stack.count - 1
      next = next &+ 1
    case (UInt8(ascii: "t"), _):
      guard stack.indices.contains(listStart) else { return false }
      let elements = stack[listStart...].compactMap { $0 }
      stack.removeLast(stack.count - listStart)
      stack.append("(\(elements.joined(separator: ", ")))")
      next = next &+ 1
    case (UInt8(ascii: "G"), _):
      guard let start = stack.lastIndex(of: nil), start > 0, let base = stack[start - 1] else {
        return false
      }
      let arguments = stack[(start + 1)...].compactMap { $0 }
      stack.removeLast(stack.count - start + 1)
      stack.append("\(base)<\(arguments.joined(separator: ", "))>")
      next = next &+ 1
    case (UInt8(ascii: "c"), 0):
      stack = ["function"]
      next = next &+ 1
    case (UInt8(ascii: "z"), UInt8(ascii: "_")):
      // A box of one variable: the variable's type, z, and then _XX.
      guard stack.count == 1, let type = stack[0],
        cache.byte(at: next &+ 2, in: spans) == UInt8(ascii: "X")
      else { return false }
      stack = ["var " + type]
      next = next &+ 4
    default: return false
    }
    return true
  }
}
