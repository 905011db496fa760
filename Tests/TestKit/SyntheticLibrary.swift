// The ELF file that holds malloc in a synthetic process: where it lies and what it states.

import HeapModel

/// Where a synthetic glibc has its segments and variables.
struct SyntheticLibrary {
  let plan: SyntheticPlan
  /// What is added to the file's virtual addresses.
  let loadBias: UInt64
  /// The file's lowest virtual address.
  let origin: UInt64
  let mainArena: UInt64
  let parameters: UInt64
  /// Where the program break begins.
  let breakStart: UInt64
  /// The process-wide key of cached chunks (2.34 and later).
  let tcacheKey: UInt64
  /// The distance from a thread pointer to the file's thread-local block.
  let threadLocalDistance: Int64
  /// Where within the block `tcache` and `thread_arena` are.
  let tcacheOffset: UInt64
  let threadArenaOffset: UInt64
  /// Whether the relocated words hold their targets in the file (DT_RELR) or zero (`.rela.dyn`).
  private let storesAddends: Bool
  private let executableBias: UInt64

  static let threadLocalSize: UInt64 = 0x90
  private static let segmentSize: UInt64 = 0x1_0000
  private static let slotOffsets: [UInt64] = [0x10, 0x48, 0x50, 0, 0x78]

  init(plan: SyntheticPlan, mmapTop: UInt64, random: inout SyntheticRandom) {
    self.plan = plan
    let executables =
      (plan.machine == .amd64 ? 0x5555_0000_0000 : 0xaaaa_0000_0000) + plan.distance
    executableBias = executables + random.below(0x1000) * Self.segmentSize
    origin = plan.linkage == .staticProgram ? 0x40_0000 : 0
    switch plan.linkage {
    case .sharedLibrary: loadBias = mmapTop + 0x100_0000 + random.below(64) * Self.segmentSize
    case .staticPIE: loadBias = executableBias
    case .staticProgram: loadBias = 0
    }
    breakStart =
      (plan.linkage == .staticProgram ? origin : executableBias)
      + Self.segmentSize * (8 + random.below(0x100))
    let data = loadBias + origin + 2 * Self.segmentSize
    mainArena = data + 0x1000 + 32 * random.below(100)
    parameters = mainArena - 0x900 - 16 * random.below(7)
    tcacheKey = random.next() | 1
    storesAddends = random.chance(50)
    let places = random.pick([(0x40, 0x50), (0x48, 0x58), (0x20, 0x50), (0x50, 0x48)])
    tcacheOffset = UInt64(places.0)
    threadArenaOffset = UInt64(places.1)
    let others: Int64 = plan.linkage == .sharedLibrary ? 16 * Int64(random.below(4)) : 0
    // Each copy of libc in a process has a block of its own for each thread.
    let copy = 0x200 * Int64(plan.distance >> 40)
    threadLocalDistance =
      plan.machine == .amd64 ? -Int64(Self.threadLocalSize) - others - copy : 16 + others + copy
  }

  /// Where its code begins.
  var textAddress: UInt64 { loadBias + origin }
  /// The all-zero object that `tcache` points to in threads that never freed (2.43 and later).
  var emptyTcache: UInt64 { textAddress + 0x8000 }

  private var globalOffsetTable: UInt64 { textAddress + Self.segmentSize + 0xe000 }
  private var data: UInt64 { textAddress + 2 * Self.segmentSize }

  /// Where the count of arenas is: beside the parameters, on the side that the compilers chose.
  var arenaCount: UInt64 {
    plan.machine == .amd64 ? parameters - 24 : parameters + plan.shape.parameterFields.size
  }

  /// Maps the file, the program and the loader, and writes what relocation left in the table.
  func map(into memory: inout SyntheticMemory) {
    let size = Self.segmentSize
    let path = images[0].path
    memory.map(textAddress, size, "r-x", name: path)
    memory.map(textAddress + size, size, "r--", name: path, fileOffset: size)
    memory.map(data, size, "rw-", name: path, fileOffset: 2 * size)
    memory.map(data + size, size, "rw-")
    if plan.linkage == .sharedLibrary {
      memory.map(executableBias, size, "r-x", name: "/usr/bin/program")
      memory.map(executableBias + size, size, "rw-", name: "/usr/bin/program", fileOffset: size)
    }
    for (index, offset) in Self.slotOffsets.enumerated() {
      memory.store(
        UInt64(bitPattern: threadLocalDistance) &+ offset, at: globalOffsetTable + UInt64(index) * 8
      )
    }
    // The table also holds addresses of functions and variables.
    for index in 8..<64 {
      memory.store(textAddress + UInt64(index) * 64, at: globalOffsetTable + UInt64(index) * 8)
    }
    // Other data of the library, with values of the kinds that malloc's own have.
    for place in stride(from: data + 0x4000, to: data + 0x5000, by: 64) {
      memory.store(words: [place, 0x20000, place - 2160, 8, 1, 0x10000], at: place)
    }
    memory.store(words: initialParameters, at: parameters)
  }

  /// The parameter block as the file provides it.
  private var initialParameters: [UInt64] {
    let fields = plan.shape.parameterFields
    var words = [UInt64](repeating: 0, count: Int(fields.size / 8))
    words[0] = 0x20000
    words[1] = 0x20000
    words[2] = 0x20000
    words[3] = 8
    let limit = fields.mmapCount + 4
    words[Int(limit / 8)] = 65536 << (limit % 8 * 8)
    if let tcache = fields.tcache {
      words[Int(tcache / 8)] = 64
      words[Int(tcache / 8) + 1] = plan.shape.tcacheMaxBytes
      words[Int(tcache / 8) + 2] = plan.shape.tcacheFill
    }
    return words
  }
}

// MARK: - What the files state

extension SyntheticLibrary {
  /// The files of the process; the first one holds malloc.
  var images: [LoadedImage] {
    let path: String
    switch plan.linkage {
    case .sharedLibrary: path = "/usr/lib/libc.so.6"
    case .staticProgram, .staticPIE: path = "/usr/bin/static-program"
    }
    let malloc = LoadedImage(image: mallocImage, loadBias: loadBias, path: path)
    guard plan.linkage == .sharedLibrary else { return [malloc] }
    return [malloc, program]
  }

  private func fileAddress(_ address: UInt64) -> UInt64 { address &- loadBias }

  private var mallocImage: ELFImage {
    let size = Self.segmentSize
    let isShared = plan.linkage == .sharedLibrary
    let isFixed = plan.linkage == .staticProgram
    return ELFImage(
      machine: plan.machine, isPositionDependent: isFixed, isDynamic: !isFixed,
      segments: [
        .init(
          virtualAddress: origin, fileSize: size, memorySize: size, fileOffset: 0,
          isWritable: false),
        .init(
          virtualAddress: origin + size, fileSize: 2 * size, memorySize: 3 * size,
          fileOffset: size, isWritable: true),
      ],
      initialBytes: [.init(virtualAddress: origin + size, bytes: initialBytes)],
      relativeRelocations: isFixed ? [] : relocations,
      threadPointerSlots: isShared
        ? Self.slotOffsets.enumerated().map { index, offset in
          .init(place: fileAddress(globalOffsetTable) + UInt64(index) * 8, offset: offset)
        } : [],
      tls: .init(memorySize: Self.threadLocalSize, alignment: 16),
      buildID: [1, 2, 3, 4], glibcBanner: isShared ? plan.shape.banner : nil, exports: [:])
  }

  /// The writable segment as the file provides it: zeros but for what is initialised.
  private var initialBytes: [UInt8] {
    var file = SyntheticMemory()
    let start = origin + Self.segmentSize
    file.map(start, 2 * Self.segmentSize, "rw-")
    file.store(words: initialParameters, at: fileAddress(parameters))
    file.store(1 as UInt64, at: fileAddress(arenaCount))
    let fields = plan.shape.arenaFields
    let arena = fileAddress(mainArena)
    if let place = fields.attachedThreads { file.store(1 as UInt64, at: arena + place) }
    for place in stride(from: data + 0x4000, to: data + 0x5000, by: 64) {
      file.store(words: [0, 0x20000, 0, 8, 1, 0x10000], at: fileAddress(place))
    }
    if plan.linkage == .staticProgram {
      file.store(arena, at: arena + fields.next)
      for index in 8..<64 {
        let slot = fileAddress(globalOffsetTable) + UInt64(index) * 8
        file.store(origin + UInt64(index) * 64, at: slot)
      }
    } else if storesAddends {
      for relocation in relocations { file.store(relocation.target, at: relocation.place) }
    }
    return file.bytes(
      of: AddressRange(RemoteAddress(start), byteCount: 2 * Self.segmentSize))
  }

  /// One relocation marks the arena; others point to all kinds of places.
  private var relocations: [ELFImage.RelativeRelocation] {
    let table = fileAddress(globalOffsetTable)
    let arena = fileAddress(mainArena)
    var result: [ELFImage.RelativeRelocation] = (8..<64).map { index in
      .init(place: table + UInt64(index) * 8, target: origin + UInt64(index) * 64)
    }
    for place in stride(from: data + 0x4000, to: data + 0x5000, by: 64) {
      result.append(.init(place: fileAddress(place), target: fileAddress(place)))
      result.append(.init(place: fileAddress(place) + 16, target: fileAddress(place) - 2200))
    }
    result.append(.init(place: arena + plan.shape.arenaFields.next, target: arena))
    return result
  }

  /// A program that only uses the library.
  private var program: LoadedImage {
    let size = Self.segmentSize
    let image = ELFImage(
      machine: plan.machine, isPositionDependent: false, isDynamic: true,
      segments: [
        .init(
          virtualAddress: 0, fileSize: size, memorySize: size, fileOffset: 0, isWritable: false),
        .init(
          virtualAddress: size, fileSize: 64, memorySize: size, fileOffset: size, isWritable: true),
      ],
      initialBytes: [.init(virtualAddress: size, bytes: [UInt8](repeating: 0, count: 64))],
      relativeRelocations: [
        .init(place: size, target: 0x40), .init(place: size + 8, target: size),
      ],
      threadPointerSlots: [], tls: nil, buildID: [9], glibcBanner: nil, exports: [:])
    return LoadedImage(image: image, loadBias: executableBias, path: "/usr/bin/program")
  }
}
