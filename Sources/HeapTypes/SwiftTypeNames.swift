// Names of Swift types as Swift prints them, from their metadata.

import HeapModel

/// Names types, with their arguments.
struct SwiftTypeNames {
  private let symbols: any SymbolLookup
  private let contexts = SwiftContexts()
  /// How many more types are looked at for one name.
  private var budget = 64

  init(_ symbols: any SymbolLookup) {
    self.symbols = symbols
  }

  /// The name of the type whose metadata is at `type`, nil if it is none.
  mutating func name(
    ofType type: UInt64, _ cache: inout PageCache, _ spans: ImageSpans, depth: Int = 0
  ) -> String? {
    guard type & 7 == 0, type > 1 << 12, let kind = cache.word(at: type, in: spans) else {
      return nil
    }
    guard depth < SwiftMetadataReader.deepest, budget > 0 else { return "..." }
    budget -= 1
    switch kind {
    case 0:
      guard let descriptor = cache.word(at: type &+ 40, in: spans) else { return nil }
      return name(ofClass: type, descriptor: descriptor, &cache, spans, depth: depth)
    case 0x200, 0x201, 0x202, 0x203, 0x204:
      guard let descriptor = cache.word(at: type &+ 8, in: spans) else { return nil }
      let arguments =
        kind >= 0x203
        ? [] : arguments(of: descriptor, at: type &+ 16, &cache, spans, depth: depth)
      return contexts.name(of: descriptor, arguments: arguments, &cache, spans)
    case 0x300: return builtinName(type)
    case 0x301: return tupleName(type, &cache, spans, depth)
    case 0x302: return functionName(type, &cache, spans, depth)
    case 0x303: return existentialName(type, &cache, spans, depth)
    case 0x304, 0x306:
      guard let instance = cache.word(at: type &+ 8, in: spans),
        let name = name(ofType: instance, &cache, spans, depth: depth + 1)
      else { return nil }
      return name + ".Type"
    case 0x307: return "any ..."
    default: return nil
    }
  }

  /// The name of the class whose metadata is at `type`, nil if the descriptor is none of a class.
  mutating func name(
    ofClass type: UInt64, descriptor: UInt64, _ cache: inout PageCache, _ spans: ImageSpans,
    depth: Int
  ) -> String? {
    guard let flags = contexts.flags(of: descriptor, &cache, spans), flags & 0x1F == 16 else {
      return nil
    }
    var arguments: [String] = []
    if let offset = contexts.argumentOffset(ofClass: descriptor, &cache, spans) {
      let first = type &+ UInt64(bitPattern: offset &* 8)
      arguments = self.arguments(of: descriptor, at: first, &cache, spans, depth: depth)
    }
    return contexts.name(of: descriptor, arguments: arguments, &cache, spans)
  }

  private mutating func arguments(
    of descriptor: UInt64, at first: UInt64, _ cache: inout PageCache, _ spans: ImageSpans,
    depth: Int
  ) -> [String] {
    let count = contexts.parameterCount(of: descriptor, &cache, spans)
    return types(count, at: first, stride: 8, &cache, spans, depth)
  }

  private mutating func types(
    _ count: Int, at first: UInt64, stride: UInt64, _ cache: inout PageCache, _ spans: ImageSpans,
    _ depth: Int
  ) -> [String] {
    var names: [String] = []
    for index in 0..<UInt64(min(count, SwiftMetadataReader.mostArguments)) {
      let type = cache.word(at: first &+ index &* stride, in: spans)
      names.append(
        type.flatMap { name(ofType: $0, &cache, spans, depth: depth + 1) } ?? "...")
    }
    return names
  }

  /// The name of a type of the compiler's own, by the symbol of its metadata.
  private func builtinName(_ type: UInt64) -> String {
    let name = symbols.symbol(at: RemoteAddress(type))?.name ?? ""
    let suffix = name.split(separator: " ").last.map(String.init) ?? ""
    return suffix.hasPrefix("Builtin.") ? suffix : "Builtin type"
  }

  /// A tuple: the count, the labels, then for each element its type and its offset.
  private mutating func tupleName(
    _ type: UInt64, _ cache: inout PageCache, _ spans: ImageSpans, _ depth: Int
  ) -> String? {
    guard let count = cache.word(at: type &+ 8, in: spans), count <= 1 << 10 else { return nil }
    var labels: [Substring] = []
    if let place = cache.word(at: type &+ 16, in: spans), place != 0,
      let text = cache.text(at: place, limit: 512, in: spans)
    {
      labels = String(decoding: text, as: UTF8.self)
        .split(separator: " ", omittingEmptySubsequences: false)
    }
    var names = types(Int(count), at: type &+ 24, stride: 16, &cache, spans, depth)
    for index in names.indices where index < labels.count && !labels[index].isEmpty {
      names[index] = "\(labels[index]): \(names[index])"
    }
    if count > UInt64(names.count) { names.append("...") }
    return "(" + names.joined(separator: ", ") + ")"
  }

  /// A function: flags with the number of parameters, then the result and the parameters.
  private mutating func functionName(
    _ type: UInt64, _ cache: inout PageCache, _ spans: ImageSpans, _ depth: Int
  ) -> String? {
    guard let flags = cache.word(at: type &+ 8, in: spans),
      let result = cache.word(at: type &+ 16, in: spans),
      let resultName = name(ofType: result, &cache, spans, depth: depth + 1)
    else { return nil }
    let count = Int(flags & 0xFFFF)
    var names = types(count, at: type &+ 24, stride: 8, &cache, spans, depth)
    if count > names.count { names.append("...") }
    // TargetFunctionTypeFlags: bit 24 throws, bit 29 is asynchronous.
    let effects = (flags >> 29 & 1 == 1 ? " async" : "") + (flags >> 24 & 1 == 1 ? " throws" : "")
    return "(" + names.joined(separator: ", ") + ")\(effects) -> \(resultName)"
  }

  /// A protocol type: flags, the number of protocols, the superclass if there is one, the protocols.
  private mutating func existentialName(
    _ type: UInt64, _ cache: inout PageCache, _ spans: ImageSpans, _ depth: Int
  ) -> String? {
    guard let flags = cache.half(at: type &+ 8, in: spans),
      let count = cache.half(at: type &+ 12, in: spans)
    else { return nil }
    var names: [String] = []
    var next = type &+ 16
    if flags >> 30 & 1 == 1 {
      names = types(1, at: next, stride: 8, &cache, spans, depth)
      next = next &+ 8
    }
    for index in 0..<UInt64(min(count, UInt32(SwiftMetadataReader.mostArguments))) {
      // Bit 0 tells protocols of Objective-C.
      let place = cache.word(at: next &+ index &* 8, in: spans)
      names.append(
        place.flatMap { contexts.name(of: $0 & ~1, arguments: [], &cache, spans) } ?? "...")
    }
    // Bit 31 is set where values may be of any type, not of classes only.
    if names.isEmpty { return flags >> 31 == 1 ? "Any" : "Swift.AnyObject" }
    return names.joined(separator: " & ")
  }

  /// The types that a closure has captured, by the description at `address`: the number of types, of
  /// sources of metadata and of bindings, then the types' names (include/swift/RemoteInspection/Records.h).
  mutating func captures(
    at address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> [String]? {
    guard let count = cache.half(at: address, in: spans),
      let sources = cache.half(at: address &+ 4, in: spans),
      let bindings = cache.half(at: address &+ 8, in: spans),
      count <= 1 << 10, sources <= 1 << 10, bindings <= 1 << 10
    else { return nil }
    var names: [String] = []
    for index in 0..<UInt64(min(count, 8)) {
      let place = contexts.target(ofRelative: address &+ 12 &+ index &* 4, &cache, spans)
      names.append(place.flatMap { mangledName(at: $0, &cache, spans) } ?? "...")
    }
    if count > 8 { names.append("...") }
    return names
  }

  private func mangledName(
    at address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> String? {
    var parser = SwiftMangledName(at: address)
    return parser.name(&cache, spans, contexts)
  }
}
