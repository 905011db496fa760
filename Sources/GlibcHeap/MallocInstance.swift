// Finds glibc's malloc in the files that a process maps, without any symbol.

package import HeapModel

/// One copy of glibc's malloc in a process: where its state is and how it is laid out.
package struct MallocInstance: Sendable {
  /// The file that it is in, as the target names it.
  package var path: String
  /// The machine that the file is for: not ours in an emulated program.
  package var machine: ELFImage.Machine
  /// The version in the file's own banner, nil if it has none.
  package var glibcVersion: String?
  /// Where the file lies in the target.
  package var imageRange: AddressRange
  /// How its arenas are laid out.
  package var arenaLayout: ArenaLayout
  /// Where `main_arena` is.
  package var mainArena: RemoteAddress
  /// How `mp_` is laid out; 2.24's shape may turn out to be 2.17's in memory.
  package var parametersLayout: ParametersLayout
  /// Where `mp_` is.
  package var parameters: RemoteAddress
  /// How a heap's header is laid out, to be confirmed by the arenas' addresses.
  package var heapInfoLayout: HeapInfoLayout
  /// Where a thread's own variables of this malloc are.
  package var threadBlock: ThreadBlock?
  /// Where malloc's code is, as far as the file's exports tell.
  package var code: AddressRange?
  /// What is added to the file's virtual addresses to get the target's addresses.
  package var loadBias: UInt64 = 0
  /// The file with symbols that decided where `main_arena` and `mp_` are and how they are laid out,
  /// nil if the library itself did.
  package var decidingSymbols: String?
  /// Whether they were told by what memory holds, since the library's file is gone.
  package var isFromMemory = false

  /// The exports from which `code` is told: malloc's code is one object file, of which these are the
  /// ends but for static functions before the first and the length of the last.
  package static let exportsOfInterest = ["malloc", "malloc_info", "timer_settime"]

  /// Where the file's TLS block lies from a thread's pointer, and how long it is.
  package struct ThreadBlock: Hashable, Sendable {
    /// How the distance is known.
    package enum Place: Hashable, Sendable {
      /// It is the word at `slot` in the target minus `offset`: the loader wrote a variable's
      /// distance from the thread pointer there.
      case relocated(slot: RemoteAddress, offset: UInt64)
      /// It is fixed, in two's complement: the file is the executable.
      case fixed(UInt64)
    }

    /// The ways to know the distance, of which the first that can be read serves.
    package var places: [Place]
    /// The block's length in bytes.
    package var byteCount: Int
  }

  /// Finds every copy of malloc in `images`, in their order.
  ///
  /// `main_arena` is told by its `next` field, which initially points to the arena itself: in the
  /// file, a relative relocation (or, in a static executable, a word in place) that points a fixed
  /// distance back. `mp_` is told by its initial contents. Either has exactly one hit in every build
  /// that was tried. Where there is none, or more than one, symbols with the layouts of structures
  /// decide, if `symbols` has any for the image.
  ///
  /// Of an image that was read from memory the initial contents are not known: in `memory`, `main_arena` is
  /// told by its ring and its bins, and `mp_` by agreeing with it.
  ///
  /// - Throws: `HeapError.noArena` if no image has one, and the other cases if none can be told exactly.
  package static func find(
    in images: [LoadedImage], memory: LiveMemory? = nil,
    symbols: (LoadedImage) -> MallocSymbols? = { _ in nil }
  ) throws(HeapError) -> [MallocInstance] {
    var found: [MallocInstance] = []
    var failure: HeapError?
    var traces: [(image: LoadedImage, misfit: LayoutMisfit)] = []
    for loaded in images {
      do throws(HeapError) {
        if let instance = try instance(in: loaded, memory, symbols) {
          // Its file may seem to be there more than once.
          if !found.contains(where: { $0.mainArena == instance.mainArena }) {
            found.append(instance)
          }
        } else if let trace = ArenaCandidate.trace(in: loaded) {
          traces.append((loaded, trace))
        }
      } catch {
        failure = failure ?? error
      }
    }
    guard found.isEmpty else { return found }
    if let failure { throw failure }
    for trace in traces { try refuse(trace.misfit, symbols(trace.image)) }
    throw .noArena(paths: images.map(\.path), traces: traces.map(\.misfit))
  }

  private static func instance(
    in loaded: LoadedImage, _ memory: LiveMemory?, _ symbols: (LoadedImage) -> MallocSymbols?
  ) throws(HeapError) -> MallocInstance? {
    let isLive = loaded.image.isFromMemory
    let seen = isLive ? memory.map { LiveDiscovery(loaded: loaded, memory: $0).look() } : nil
    let candidates = isLive ? seen?.arenas ?? [] : ArenaCandidate.all(in: loaded.image)
    guard let arena = candidates.first else { return nil }
    guard candidates.count == 1 else {
      var misfit = LayoutMisfit(loaded)
      misfit.arenas = candidates.map(\.trace)
      if let decided = try instance(in: loaded, deciding: symbols(loaded), misfit) {
        return decided
      }
      throw .ambiguousArena(misfit)
    }
    let found =
      isLive
      ? seen?.onlyParameters : initialParameters(in: loaded.image, near: arena.address)
    guard let (parameters, layout) = found else {
      var misfit = LayoutMisfit(loaded)
      misfit.arenas = [arena.trace]
      misfit.parameters = parametersTraces(in: loaded.image)
      if let decided = try instance(in: loaded, deciding: symbols(loaded), misfit) {
        return decided
      }
      throw .unknownParameters(misfit)
    }
    return MallocInstance(loaded, arena.address, arena.layout, parameters, layout)
  }

  /// Makes the instance in `loaded` whose `main_arena` and `mp_` are at these virtual addresses.
  init(
    _ loaded: LoadedImage, _ arena: UInt64, _ arenaLayout: ArenaLayout, _ parameters: UInt64,
    _ layout: ParametersLayout
  ) {
    path = loaded.path
    machine = loaded.image.machine
    glibcVersion = loaded.image.glibcBanner
    imageRange = loaded.range
    self.arenaLayout = arenaLayout
    mainArena = loaded.address(of: arena)
    parametersLayout = layout
    self.parameters = loaded.address(of: parameters)
    heapInfoLayout = HeapInfoLayout(byteCount: layout.hugePageSize == nil ? 32 : 48)
    threadBlock = Self.threadBlock(of: loaded)
    code = Self.code(of: loaded)
    isFromMemory = loaded.image.isFromMemory
    loadBias = loaded.loadBias
  }

  /// The address and shape of the initial `mp_`; of several, the one nearest to the arena.
  private static func initialParameters(
    in image: ELFImage, near arena: UInt64
  ) -> (address: UInt64, layout: ParametersLayout)? {
    var best: (address: UInt64, layout: ParametersLayout)?
    func distance(_ address: UInt64) -> UInt64 { max(address, arena) - min(address, arena) }
    for piece in image.initialBytes {
      let bytes = CopiedBytes(piece.bytes)
      for offset in stride(from: 0, to: piece.bytes.count, by: 8) {
        guard bytes.word(at: offset) == ParametersLayout.initialWords[0] else { continue }
        let address = piece.virtualAddress &+ UInt64(offset)
        guard let layout = parametersLayout(in: bytes, at: offset) else { continue }
        if let best, distance(best.address) <= distance(address) { continue }
        best = (address, layout)
      }
    }
    return best
  }

  /// The places that begin with two of the parameters' initial words.
  private static func parametersTraces(in image: ELFImage) -> [LayoutMisfit.ParametersTrace] {
    var traces: [LayoutMisfit.ParametersTrace] = []
    for piece in image.initialBytes {
      let bytes = CopiedBytes(piece.bytes)
      for offset in stride(from: 0, to: piece.bytes.count, by: 8)
      where bytes.word(at: offset) == ParametersLayout.initialWords[0]
        && bytes.word(at: offset + 8) == ParametersLayout.initialWords[1]
        && (traces.last?.address).map({ piece.virtualAddress &+ UInt64(offset) > $0 &+ 8 }) ?? true
      {
        let words = (0..<LayoutMisfit.ParametersTrace.wordCount).compactMap {
          bytes.word(at: offset + 8 * $0)
        }
        traces.append(.init(address: piece.virtualAddress &+ UInt64(offset), words: words))
        // Other tables may begin so, too; a libc has no more than a few.
        if traces.count == 8 { return traces }
      }
    }
    return traces
  }

  private static func parametersLayout(
    in bytes: CopiedBytes, at offset: Int
  ) -> ParametersLayout? {
    for (index, word) in ParametersLayout.initialWords.enumerated()
    where bytes.word(at: offset + 8 * index) != word {
      return nil
    }
    return ParametersLayout.recognisable.first { layout in
      guard
        bytes.halfWord(at: offset + layout.mmapCountMaximum)
          == ParametersLayout.initialMmapCountMaximum
      else { return false }
      guard let tcacheBins = layout.tcacheBins else { return true }
      return bytes.word(at: offset + tcacheBins) == ParametersLayout.initialTcacheBins
    }
  }

  /// The lowest static function of malloc's object file lies 0x3e4c to 0x4c00 bytes before `malloc` in
  /// Debian's 2.31, 2.36, 2.41, 2.43 and 2.44 for either machine, and `malloc_info` is shorter than
  /// 0x400 bytes.
  ///
  /// What is linked in front of it must not count, since threads wait there for hours: since 2.34 those
  /// are timers, at the end message queues, and about 0x7e00 bytes before `malloc`, since 2.41, the one
  /// place from which all system calls are made that can be cancelled. The last function there that is
  /// exported is `timer_settime`, 0x250 to 0x290 bytes before malloc's first.
  private static func code(of loaded: LoadedImage) -> AddressRange? {
    guard let malloc = loaded.image.exports["malloc"],
      let last = loaded.image.exports["malloc_info"], malloc >= 0x5000, last >= malloc,
      last - malloc < 1 << 20
    else { return nil }
    var start = malloc - 0x5000
    if let timers = loaded.image.exports["timer_settime"], timers >= start,
      timers < malloc - 0x200
    {
      start = timers + 0x200
    }
    return AddressRange(loaded.address(of: start), byteCount: last - start + 0x400)
  }

  private static func threadBlock(of loaded: LoadedImage) -> ThreadBlock? {
    guard let tls = loaded.image.tls, tls.memorySize > 0, tls.memorySize <= 1 << 20 else {
      return nil
    }
    var places = loaded.image.threadPointerSlots.prefix(16).map { slot in
      ThreadBlock.Place.relocated(slot: loaded.address(of: slot.place), offset: slot.offset)
    }
    if places.isEmpty {
      places = [.fixed(executableBlockDistance(tls, machine: loaded.image.machine))]
    }
    return ThreadBlock(places: places, byteCount: Int(tls.memorySize))
  }

  /// An executable's TLS block ends at the thread pointer on x86-64 (variant II) and follows the
  /// 16-byte control block on aarch64 (variant I).
  private static func executableBlockDistance(
    _ tls: ELFImage.TLSSegment, machine: ELFImage.Machine
  ) -> UInt64 {
    let alignment = max(1, tls.alignment)
    switch machine {
    case .amd64:
      let (padded, overflow) = tls.memorySize.addingReportingOverflow(alignment - 1)
      return overflow ? 0 : 0 &- (padded / alignment * alignment)
    case .arm64:
      return max(16, alignment)
    }
  }
}
