// A heap whose chunks have types, made by hand.

import HeapModel

/// Types and chunks of every kind and state.
enum TypeFixtures {
  static let server = "/srv/ingest/bin/ingest-worker"
  static let library = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30"
  static let longName =
    "std::unordered_map<std::__cxx11::basic_string<char, std::char_traits<char>, "
    + "std::allocator<char> >, std::vector<ingest::Record, std::allocator<ingest::Record> > >"

  static let types: [HeldType] = [
    .unknown,
    type("Session", .cxx, server, .rtti, "vtable for Session"),
    type(longName, .cxx, server, .vtableSymbol, "_ZTV9RecordMap"),
    type("std::runtime_error", .cxx, library, .rtti, "vtable for std::runtime_error"),
    type("Ingest.Batch", .swift, server, .swiftMetadata, "$s6Ingest5BatchCN"),
    type("handler_table", .structure, server, .symbol, "on_request at offset 0"),
    type("std::string[] of Session+32", .owned, nil, .owner, "the field at 32 of Session"),
    type("text (ASCII)", .content, nil, .content, "printable bytes to the first zero"),
    type("FILE", .runtime, "/usr/lib/x86_64-linux-gnu/libc.so.6", .structure, "its vtable"),
    // The same type as the second by weaker evidence: one row with that.
    type("Session", .cxx, server, .vtableSymbol, "_ZTV7Session"),
    type("a\"b;c,d\u{1B}[2J\n\u{202E}\u{7F}é", .structure, "/tmp/e vil.so", .objectFile, "a\nb"),
  ]

  /// By type: how many chunks of which size.
  private static let plan: [(held: UInt32, size: UInt64, count: Int)] = [
    (1, 96, 40), (1, 112, 4), (2, 4112, 9), (3, 48, 12), (4, 160, 25), (5, 1040, 3),
    (6, 65_552, 2), (7, 64, 120), (7, 208, 31), (8, 480, 2), (9, 96, 6), (10, 32, 1), (0, 272, 7),
  ]

  static let report: HeapReport = {
    var report = ReportFixtures.server
    report.snapshot.chunks = []
    var address: UInt64 = 0x7f10_0000_0010
    func add(_ held: UInt32, _ size: UInt64, _ state: ChunkState, _ arena: Int32?) {
      var chunk = Chunk(
        userAddress: RemoteAddress(address), size: size, usableSize: size - 8, state: state,
        arena: arena)
      chunk.held = held
      report.snapshot.chunks.append(chunk)
      address += size
    }
    for (held, size, count) in plan {
      for index in 0..<count { add(held, size, .inUse, Int32(index % 3)) }
    }
    // None of these is the program's.
    for state in ChunkState.allCases where state != .inUse { add(1, 96, state, 0) }
    add(7, 266_240, .inUse, nil)
    add(99, 80, .inUse, 16)
    report.held = HeldTypes(
      types: types,
      binaries: [
        binary(server, at: 0x55d0_0000_0000, buildID: [0xAB, 0xCD, 0x01, 0xEF]),
        binary(library, at: 0x7f20_0000_0000, buildID: [0x00, 0x11]),
        binary("/usr/lib/x86_64-linux-gnu/libc.so.6", at: 0x7f21_0000_0000, buildID: []),
        binary("/usr/lib/libunused.so", at: 0x7f22_0000_0000, buildID: [1]),
      ],
      gaps: (1...4).map {
        SymbolGap(
          path: "/srv/ingest/lib/libcodec\($0).so", buildID: [0x12, UInt8($0)],
          reason: "no symbol table, and no debug file with build id 120\($0)")
      })
    return report
  }()

  private static func type(
    _ name: String, _ kind: HeldKind, _ binary: String?, _ rule: TypeEvidence.Rule,
    _ detail: String
  ) -> HeldType {
    HeldType(name: name, kind: kind, binary: binary, evidence: TypeEvidence(rule, detail))
  }

  private static func binary(
    _ path: String, at start: UInt64, buildID: [UInt8]
  ) -> MappedBinary {
    let parts: [(UInt64, UInt64, Bool, Bool)] = [
      (0, 0x2000, false, false), (0x2000, 0x5000, true, false), (0x7000, 0x1000, false, true),
    ]
    return MappedBinary(
      path: path,
      parts: parts.map { offset, length, isExecutable, isWritable in
        MappedBinary.Part(
          range: AddressRange(RemoteAddress(start + offset), byteCount: length),
          fileOffset: offset, isExecutable: isExecutable, isWritable: isWritable)
      }, buildID: buildID)
  }
}
