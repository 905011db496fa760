// From an opened ELF file to the values that the heap's discovery needs.

import CElfutils
package import HeapModel

extension ELFFile {
  /// The most bytes of writable segments that are kept; what lies beyond is left out.
  static var initialBytesLimit: UInt64 { 64 << 20 }

  /// Reads what decides where the file's malloc keeps its state.
  ///
  /// Of a file in memory, the bytes of writable segments are those of the moment.
  ///
  /// - Parameters:
  ///   - names: the functions and objects whose addresses are wanted, if the file exports them.
  ///   - wantsBanner: whether to search the loaded bytes for glibc's banner.
  /// - Returns: what the file says of itself.
  /// - Throws: `SymbolError.malformed` or `.cannotRead`.
  package func image(exports names: [String], wantsBanner: Bool) throws(SymbolError) -> ELFImage {
    let initialBytes = try self.initialBytes()
    let relocations = try self.relocations(over: initialBytes)
    return ELFImage(
      machine: machine,
      isPositionDependent: isPositionDependent,
      isDynamic: dynamic != nil || programHeaders.contains { $0.type == UInt32(PT_INTERP) },
      segments: segments,
      initialBytes: initialBytes,
      relativeRelocations: relocations.relative,
      threadPointerSlots: relocations.slots,
      tls: programHeaders.first { $0.type == UInt32(PT_TLS) }
        .map { ELFImage.TLSSegment(memorySize: $0.memorySize, alignment: max(1, $0.alignment)) },
      buildID: buildID,
      glibcBanner: wantsBanner ? glibcBanner() : nil,
      exports: try definitions(of: names),
      isFromMemory: loadedPlace != nil)
  }

  /// Its loaded segments, ascending.
  var segments: [ELFImage.Segment] { Self.segments(loads) }

  /// What is added to its virtual addresses where it is loaded as `module`.
  ///
  /// - Throws: `SymbolError.noLoadBias`.
  func loadBias(of module: LoadedModule) throws(SymbolError) -> UInt64 {
    if isPositionDependent { return 0 }
    guard let bias = module.loadBias(of: segments) else { throw .noLoadBias(path: module.name) }
    return bias
  }

  /// What these program headers, ascending, load.
  static func segments(_ loads: [ProgramHeader]) -> [ELFImage.Segment] {
    loads.map { segment in
      ELFImage.Segment(
        virtualAddress: segment.virtualAddress, fileSize: segment.file.byteCount,
        memorySize: segment.memorySize, fileOffset: segment.file.offset,
        isWritable: segment.has(UInt32(PF_W)))
    }
  }

  private func initialBytes() throws(SymbolError) -> [ELFImage.InitialBytes] {
    var pieces: [ELFImage.InitialBytes] = []
    var left = Self.initialBytesLimit
    for segment in loads where segment.has(UInt32(PF_W)) && segment.file.byteCount > 0 {
      guard let range = segment.file.dropping(0, limit: left), range.byteCount > 0 else { break }
      pieces.append(
        ELFImage.InitialBytes(
          virtualAddress: segment.virtualAddress, bytes: try handle.bytes(at: range).bytes))
      left -= range.byteCount
    }
    return pieces
  }
}
