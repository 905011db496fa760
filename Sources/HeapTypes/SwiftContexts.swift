// Names of Swift types from their descriptors (include/swift/ABI/Metadata.h, TargetContextDescriptor).

import HeapModel

/// Reads names of modules, types and what they are nested in.
struct SwiftContexts {
  private static let deepest = 12
  private static let longestName = 1024
  /// A name with all its scopes and arguments has at most so many bytes.
  private static let longestText = 4096

  /// One level of a name.
  private struct Level {
    var name: String
    /// How many parameters it and those around it have in all.
    var parameters: Int
  }

  /// The name of the context with its scopes, and `arguments` where its parameters stand; nil if it is none.
  func name(
    of descriptor: UInt64, arguments: [String], _ cache: inout PageCache, _ spans: ImageSpans
  ) -> String? {
    guard let levels = levels(of: descriptor, &cache, spans) else { return nil }
    var text = ""
    var used = 0
    for level in levels {
      if !text.isEmpty { text += "." }
      text += level.name
      let end = min(level.parameters, arguments.count)
      if end > used {
        text += "<" + arguments[used..<end].joined(separator: ", ") + ">"
        used = end
      }
      if text.utf8.count > Self.longestText { return "..." }
    }
    return text
  }

  /// From the module down to the context itself.
  private func levels(
    of descriptor: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> [Level]? {
    var levels: [Level] = []
    var context = descriptor
    for _ in 0..<Self.deepest {
      guard let flags = flags(of: context, &cache, spans) else { return nil }
      switch flags & 0x1F {
      case 0:
        guard let name = text(at: context &+ 8, &cache, spans) else { return nil }
        levels.append(Level(name: name, parameters: 0))
        return levels.reversed()
      case 1:
        // An extension is in the module that has it; what it extends is named by its encoded type.
        if let extended = extended(by: context, &cache, spans) {
          context = extended
          continue
        }
        if let name = standardName(extendedBy: context, &cache, spans) {
          levels.append(Level(name: name, parameters: parameterCount(of: context, &cache, spans)))
          return levels.reversed()
        }
      case 2, 4: break
      case 3, 16, 17, 18:
        guard let name = text(at: context &+ 8, &cache, spans) else { return nil }
        levels.append(Level(name: name, parameters: parameterCount(of: context, &cache, spans)))
      default: return nil
      }
      guard let parent = parent(of: context, &cache, spans) else { return nil }
      context = parent
    }
    return nil
  }

  /// The flags of a context: the kind in 5 bits, whether it is generic in bit 7.
  func flags(
    of context: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> UInt32? {
    guard context & 3 == 0, spans.part(at: context) != nil else { return nil }
    return cache.half(at: context, in: spans)
  }

  /// What the relative pointer at `address` points to; with bit 0 set there stands the address.
  func target(
    ofRelative address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> UInt64? {
    guard let half = cache.half(at: address, in: spans), half != 0 else { return nil }
    let distance = Int64(Int32(bitPattern: half & ~1))
    let target = address &+ UInt64(bitPattern: distance)
    return half & 1 == 0 ? target : cache.word(at: target, in: spans)
  }

  private func parent(
    of context: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> UInt64? {
    target(ofRelative: context &+ 4, &cache, spans)
  }

  private func extended(
    by context: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> UInt64? {
    guard let name = target(ofDirect: context &+ 8, &cache, spans) else { return nil }
    return symbolicReference(at: name, &cache, spans)
  }

  /// The name of what an extension extends, if that is one of the types with a letter of their own.
  private func standardName(
    extendedBy context: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> String? {
    guard let name = target(ofDirect: context &+ 8, &cache, spans),
      cache.byte(at: name, in: spans) == UInt8(ascii: "S"),
      let letter = cache.byte(at: name &+ 1, in: spans)
    else { return nil }
    return SwiftMangledName.standard[letter]
  }

  /// What the relative pointer at `address` points to, which never stands for a place with the address.
  private func target(
    ofDirect address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> UInt64? {
    guard let half = cache.half(at: address, in: spans), half != 0 else { return nil }
    return address &+ UInt64(bitPattern: Int64(Int32(bitPattern: half)))
  }

  /// The context that a symbolic reference at `address` names: a byte 1 or, for a place that holds the
  /// address, 2, and then the distance from itself (docs/ABI/Mangling.rst).
  func symbolicReference(
    at address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> UInt64? {
    guard let sort = cache.byte(at: address, in: spans), sort == 1 || sort == 2 else { return nil }
    var half: UInt32 = 0
    for index in 0..<4 {
      guard let byte = cache.byte(at: address &+ 1 &+ UInt64(index), in: spans) else { return nil }
      half |= UInt32(byte) << UInt32(index * 8)
    }
    let target = address &+ 1 &+ UInt64(bitPattern: Int64(Int32(bitPattern: half)))
    return sort == 1 ? target : cache.word(at: target, in: spans)
  }

  private func text(
    at address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> String? {
    guard let place = target(ofDirect: address, &cache, spans),
      let text = cache.text(at: place, limit: Self.longestName, in: spans),
      !text.isEmpty,
      text.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
    else { return nil }
    return String(decoding: text, as: UTF8.self)
  }

  // MARK: Parameters

  /// Where a context has the counts of its generic parameters and then the parameters themselves.
  private func parameterHeader(
    of context: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> (counts: UInt64, parameters: UInt64)? {
    guard let flags = flags(of: context, &cache, spans), flags & 0x80 != 0 else { return nil }
    switch flags & 0x1F {
    case 1: return (context &+ 12, context &+ 20)
    // After the class's own fields, or those of a structure or an enumeration, come the cache of instances and
    // their pattern, and only then the counts (TargetTypeGenericContextDescriptorHeader).
    case 16: return (context &+ 52, context &+ 60)
    case 17, 18: return (context &+ 36, context &+ 44)
    default: return nil
    }
  }

  /// How many type parameters a context and those around it have that are given at run time; none if there
  /// are packs or values among them.
  func parameterCount(
    of context: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> Int {
    guard let (counts, parameters) = parameterHeader(of: context, &cache, spans),
      let count = cache.quarter(at: counts, in: spans), count <= SwiftMetadataReader.mostArguments
    else { return 0 }
    var result = 0
    for index in 0..<UInt64(count) {
      guard let parameter = cache.byte(at: parameters &+ index, in: spans) else { return 0 }
      // Bit 7: it is given; bits 0 to 5: 0 for a type.
      guard parameter & 0x3F == 0 else { return 0 }
      if parameter & 0x80 != 0 { result += 1 }
    }
    return result
  }

  /// How many words after its address point class metadata has its generic arguments.
  ///
  /// The members that a class itself adds stand at the end, or at the beginning if the flags say so; with a
  /// superclass from a library that may change, the offset is computed at run time (TargetClassDescriptor).
  func argumentOffset(
    ofClass descriptor: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> Int64? {
    guard let flags = flags(of: descriptor, &cache, spans) else { return nil }
    if flags >> 29 & 1 == 1 {
      guard let bounds = target(ofRelative: descriptor &+ 24, &cache, spans),
        let bytes = cache.word(at: bounds, in: spans)
      else { return nil }
      let offset = Int64(bitPattern: bytes)
      return offset & 7 == 0 && offset > -1 << 20 && offset < 1 << 20 ? offset / 8 : nil
    }
    guard let negative = cache.half(at: descriptor &+ 24, in: spans),
      let positive = cache.half(at: descriptor &+ 28, in: spans),
      let members = cache.half(at: descriptor &+ 32, in: spans)
    else { return nil }
    return flags >> 28 & 1 == 1 ? -Int64(negative) : Int64(positive) - Int64(members)
  }
}
