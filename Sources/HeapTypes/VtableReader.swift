// Vtables and type information of C++ classes, from the target's memory alone (Itanium C++ ABI, 2.5 and 2.9.5).

import HeapModel

/// What a pointer to a vtable's first function tells.
struct Vtable {
  /// How its class is named.
  enum Class: Equatable {
    /// By the name in its type information, as the linker encodes it, which stands at `text`.
    case information(name: String, text: UInt64)
    /// By nothing in memory: the word for the type information is 0.
    case none
  }

  var named: Class
  /// The distance from the part of an object that has this pointer to the object, 0 or negative.
  var offsetToTop: Int64
  /// Whether the word before the offset to the top can be that of a virtual base.
  var mayHaveVirtualBase: Bool
  /// How many of the first words point to code.
  var functions: Int
}

/// Reads vtables.
///
/// Nothing is believed of a word because of where it points alone. Before a vtable's functions stand the
/// offset to the top of the object, 0 or a small negative number, and the pointer to the type information. That
/// begins with a pointer into the vtable of one of the three classes that describe classes, which are told
/// by the names in their own type information, so no symbol is needed and any C++ library will do.
struct VtableReader {
  /// An object is taken to have at most this many bytes before one of its bases.
  static let largestOffset: Int64 = 1 << 24
  private static let longestName = 4096
  private static let describing: Set<[UInt8]> = [
    Array("N10__cxxabiv117__class_type_infoE".utf8),
    Array("N10__cxxabiv120__si_class_type_infoE".utf8),
    Array("N10__cxxabiv121__vmi_class_type_infoE".utf8),
  ]

  /// What is known of first words of type information: whether they tell a class.
  private var describesClass: [UInt64: Bool] = [:]
  /// No more first words than this are remembered.
  private static let mostKnown = 10_000

  /// Reads the vtable that `pointer`, a word of an object, could point into; nil if it is none.
  mutating func vtable(
    at pointer: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> Vtable? {
    guard pointer & 7 == 0, pointer > 24,
      let information = cache.word(at: pointer &- 8, in: spans),
      let top = cache.word(at: pointer &- 16, in: spans)
    else { return nil }
    let offsetToTop = Int64(bitPattern: top)
    guard offsetToTop <= 0, offsetToTop > -Self.largestOffset, offsetToTop & 7 == 0 else {
      return nil
    }
    let before = Int64(bitPattern: cache.word(at: pointer &- 24, in: spans) ?? 0)
    let mayHaveVirtualBase =
      before != 0 && before & 7 == 0 && before > -Self.largestOffset && before < Self.largestOffset
    let functions = functionCount(at: pointer, &cache, spans)
    guard information != 0 else {
      return functions > 0
        ? Vtable(
          named: .none, offsetToTop: offsetToTop, mayHaveVirtualBase: mayHaveVirtualBase,
          functions: functions) : nil
    }
    guard let (name, text) = className(at: information, &cache, spans) else { return nil }
    // A class without virtual functions but with virtual bases has no function at all; the functions of an
    // abstract class can be 0.
    guard
      functions > 0 || mayHaveVirtualBase || cache.word(at: pointer, in: spans) == 0
    else { return nil }
    return Vtable(
      named: .information(name: name, text: text), offsetToTop: offsetToTop,
      mayHaveVirtualBase: mayHaveVirtualBase, functions: functions)
  }

  /// How many of the first 8 words at `address` point to code, one after another.
  func functionCount(at address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans) -> Int {
    var count = 0
    while count < 8, let word = cache.word(at: address &+ UInt64(count) &* 8, in: spans),
      spans.isCode(word)
    { count += 1 }
    return count
  }

  /// The name in the type information at `address` and where it stands, nil if there is none of a class.
  ///
  /// Linkers can put texts beside code (GNU ld before 2.31, lld with --no-rosegment), so it may stand anywhere.
  mutating func className(
    at address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> (String, UInt64)? {
    guard address & 7 == 0, spans.isData(address),
      let first = cache.word(at: address, in: spans), isDescribingClass(first, &cache, spans),
      let pointer = cache.word(at: address &+ 8, in: spans), spans.part(at: pointer) != nil,
      var name = cache.text(at: pointer, limit: Self.longestName, in: spans)
    else { return nil }
    // A star says that names are compared by address (Itanium C++ ABI, 2.9.3, as GCC has it).
    if name.first == UInt8(ascii: "*") { name.removeFirst() }
    guard !name.isEmpty, name.allSatisfy({ $0 > 0x20 && $0 < 0x7F || $0 >= 0x80 }) else {
      return nil
    }
    return (String(decoding: name, as: UTF8.self), pointer)
  }

  /// Whether `pointer` points into the vtable of one of the classes whose objects are the type information
  /// of classes.
  private mutating func isDescribingClass(
    _ pointer: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> Bool {
    if let known = describesClass[pointer] { return known }
    var isOne = false
    if pointer & 7 == 0, pointer > 8, spans.isData(pointer),
      let information = cache.word(at: pointer &- 8, in: spans),
      information & 7 == 0, spans.isData(information),
      let text = cache.word(at: information &+ 8, in: spans), spans.part(at: text) != nil,
      var name = cache.text(at: text, limit: 64, in: spans)
    {
      if name.first == UInt8(ascii: "*") { name.removeFirst() }
      isOne = Self.describing.contains(name)
    }
    if describesClass.count < Self.mostKnown { describesClass[pointer] = isOne }
    return isOne
  }
}
