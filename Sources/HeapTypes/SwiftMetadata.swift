// Metadata of Swift objects (Swift's ABI on Linux, include/swift/ABI/Metadata.h and MetadataKind.def).

import HeapModel

/// What sort of block begins with a pointer to Swift metadata.
enum SwiftKind: UInt8 {
  /// An object of a class.
  case object
  /// What a closure has captured, or a box of one variable.
  case context
  /// A box whose contents are a value of a type that was generic.
  case box
  /// An error; of what type stands in its third word.
  case error
  /// A task or a job.
  case task
}

/// What the metadata of an object tells.
struct SwiftMetadata {
  var name: String
  var kind: SwiftKind
  /// How many bytes an object has at least.
  var instanceSize: UInt32
  /// The number of the binary that holds the descriptor, nil if there is none.
  var binary: Int?
  /// What was seen.
  var detail: String
}

/// The reference counts that a Swift object has in its second word (include/swift/SwiftShims/RefCount.h).
enum SwiftCounts {
  /// Whether `word` can be the reference counts of a live object.
  ///
  /// Without a side table: bit 0, that it is an object of Swift's own, is set; bits 1 to 31 count unowned
  /// references, which are never 0; bit 32 says that it is being destroyed; bits 33 to 62 count further
  /// strong references. With one, bits 62 and 63 are set, and the others are its address without 3 zeros.
  @inline(__always)
  static func arePlausible(_ word: UInt64) -> Bool {
    if word >> 63 == 0 {
      let unowned = word >> 1 & 0x7FFF_FFFF
      let strong = word >> 33
      return word & 1 == 1 && unowned >= 1 && unowned < 1 << 26
        && (strong < 1 << 26 || isDeinitialising(word) && strong >= (1 << 30) - 2)
    }
    return word >> 62 == 3 && word & 0x3FFF_FFFF_FFFF_FFFF < 1 << 45
      && word & 0x3FFF_FFFF_FFFF_FFFF >= 1 << 13
  }

  /// Whether they say that the object is being destroyed, or was and is held by unowned references only.
  @inline(__always)
  static func isDeinitialising(_ word: UInt64) -> Bool { word >> 63 == 0 && word >> 32 & 1 == 1 }
}

/// Reads metadata.
struct SwiftMetadataReader {
  /// How deep the arguments of generic types are followed.
  static let deepest = 6
  /// How many arguments, elements or parameters are named.
  static let mostArguments = 16

  /// Reads what `address`, the first word of a chunk, could point to; nil if it is no metadata of objects.
  func read(
    at address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans, _ sources: TypeSources
  ) -> SwiftMetadata? {
    guard address & 7 == 0, address > 1 << 12, let kind = cache.word(at: address, in: spans) else {
      return nil
    }
    var names = SwiftTypeNames(sources.symbols)
    switch kind {
    case 0: return classObject(at: address, &cache, spans, &names)
    case 0x400: return context(at: address, &cache, spans, &names)
    case 0x500:
      guard hasHeapHeader(address, &cache, spans),
        let offset = cache.half(at: address &+ 8, in: spans), offset >= 16, offset < 1 << 16,
        let type = cache.word(at: address &+ 16, in: spans),
        let name = names.name(ofType: type, &cache, spans)
      else { return nil }
      return SwiftMetadata(
        name: "box of \(name)", kind: .box, instanceSize: offset,
        binary: spans.part(at: type).map { spans.parts[$0].binary }, detail: "boxed type \(name)")
    case 0x501, 0x502, 0x503:
      guard hasHeapHeader(address, &cache, spans, needsValues: kind == 0x501) else { return nil }
      return SwiftMetadata(
        name: kind == 0x501 ? "Swift error" : kind == 0x502 ? "Swift task" : "Swift job",
        kind: kind == 0x501 ? .error : .task, instanceSize: 16,
        binary: spans.part(at: address).map { spans.parts[$0].binary },
        detail: "kind 0x\(String(kind, radix: 16))")
    default: return nil
    }
  }

  /// Whether before the metadata stand a function that destroys an object and a table of values' functions,
  /// which tasks do not have.
  private func hasHeapHeader(
    _ address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans, needsValues: Bool = true
  ) -> Bool {
    guard let destroy = cache.word(at: address &- 16, in: spans),
      let values = cache.word(at: address &- 8, in: spans)
    else { return false }
    return (destroy == 0 || spans.isCode(destroy))
      && (spans.isData(values) || !needsValues && values == 0 && destroy != 0)
  }

  private func classObject(
    at address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans,
    _ names: inout SwiftTypeNames
  ) -> SwiftMetadata? {
    guard let header = classHeader(at: address, &cache, spans),
      let name = names.name(
        ofClass: address, descriptor: header.descriptor, &cache, spans, depth: 0)
    else { return nil }
    return SwiftMetadata(
      name: name, kind: .object, instanceSize: header.instanceSize,
      binary: spans.part(at: header.descriptor).map { spans.parts[$0].binary },
      detail: "descriptor names \(name), \(header.instanceSize) bytes an object")
  }

  /// The fields of class metadata that are needed, nil if it is none: after kind and superclass come flags,
  /// the instance's address point, size and alignment, the metadata's size and address point, and the pointer
  /// to the descriptor (TargetClassMetadata without Objective-C).
  private func classHeader(
    at address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans
  ) -> (instanceSize: UInt32, descriptor: UInt64)? {
    guard hasHeapHeader(address, &cache, spans),
      let superclass = cache.word(at: address &+ 8, in: spans), superclass & 7 == 0,
      let flags = cache.half(at: address &+ 16, in: spans), flags & 2 != 0, flags < 1 << 16,
      cache.half(at: address &+ 20, in: spans) == 0,
      let size = cache.half(at: address &+ 24, in: spans), size >= 16, size < 1 << 30,
      let alignment = cache.quarter(at: address &+ 28, in: spans),
      alignment & (alignment &+ 1) == 0,
      let classSize = cache.half(at: address &+ 32, in: spans),
      let addressPoint = cache.half(at: address &+ 36, in: spans),
      addressPoint >= 16, addressPoint < classSize, classSize < 1 << 20,
      let descriptor = cache.word(at: address &+ 40, in: spans), descriptor & 3 == 0,
      spans.part(at: descriptor) != nil,
      let kind = cache.half(at: descriptor, in: spans), kind & 0x1F == 16
    else { return nil }
    return (size, descriptor)
  }

  /// What a closure has captured: after the kind the offset of the first capture, then the pointer to the
  /// description of the captures, 0 without (TargetHeapLocalVariableMetadata).
  private func context(
    at address: UInt64, _ cache: inout PageCache, _ spans: ImageSpans,
    _ names: inout SwiftTypeNames
  ) -> SwiftMetadata? {
    guard let part = spans.part(at: address),
      let destroy = cache.word(at: address &- 16, in: spans), spans.isCode(destroy),
      let values = cache.word(at: address &- 8, in: spans), values == 0 || spans.isData(values),
      let offset = cache.half(at: address &+ 8, in: spans), offset >= 8, offset < 1 << 16,
      let captures = cache.word(at: address &+ 16, in: spans),
      captures == 0 || captures & 3 == 0 && spans.part(at: captures) != nil
    else { return nil }
    let binary = spans.parts[part].binary
    let captured = captures == 0 ? nil : names.captures(at: captures, &cache, spans)
    let name = captured.map { "closure context or box (\($0.joined(separator: ", ")))" }
    return SwiftMetadata(
      name: name ?? "closure context or box", kind: .context, instanceSize: offset, binary: binary,
      detail: captured == nil
        ? "no description of captures" : "captures at \(RemoteAddress(captures))")
  }
}
