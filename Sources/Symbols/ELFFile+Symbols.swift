// Looking names up in an ELF file: by hash in what it exports, one by one in what it still names.

import CElfutils

extension ELFFile {
  /// Where the dynamic symbols and their names are.
  private struct DynamicSymbols {
    var symbols: FileRange
    var names: FileRange
  }

  /// The header of a DT_GNU_HASH table and where its parts are.
  private struct HashTable {
    var bucketCount: UInt32
    /// The first symbol that is in the table; those before are not defined here.
    var firstSymbol: UInt32
    var bloomCount: UInt32
    var bloomShift: UInt32
    var bloom: FileRange
    var buckets: FileRange
    var chains: FileRange
  }

  /// The longest chain that is followed; linkers make about one bucket for each symbol or two.
  private static var chainLimit: UInt64 { 1 << 16 }

  /// The ELF virtual addresses of those of `names` that the file exports; with several versions
  /// of a name, of the first one in the table.
  ///
  /// - Throws: `SymbolError.malformed` or `.cannotRead`.
  package func definitions(of names: [String]) throws(SymbolError) -> [String: UInt64] {
    guard !names.isEmpty, let dynamic = try dynamicSymbols() else { return [:] }
    guard let hash = try hashTable() else {
      let table = try wholeDynamicTable(dynamic, count: try dynamicSymbolCount(dynamic))
      return table.definitions(of: names)
    }
    var found: [String: UInt64] = [:]
    for name in names {
      found[name] = try address(of: name, hash, dynamic)
    }
    return found
  }

  /// The whole table of exported symbols, for questions that no hash answers; nil if the file has
  /// no dynamic symbols.
  func exportedSymbols() throws(SymbolError) -> SymbolTable? {
    guard let dynamic = try dynamicSymbols() else { return nil }
    return try wholeDynamicTable(dynamic, count: try dynamicSymbolCount(dynamic))
  }

  /// The same with what the file asks of others, which is in no hash table; nil also if it takes more than
  /// `limit` bytes.
  ///
  /// Behind the symbols come their names, in every known linker's output; what may be between them reads
  /// as symbols that nothing refers to.
  func dynamicSymbolTable(limit: UInt64) throws(SymbolError) -> SymbolTable? {
    guard let dynamic = try dynamicSymbols(), dynamic.names.byteCount <= limit else { return nil }
    let (distance, isBefore) = dynamic.names.offset
      .subtractingReportingOverflow(dynamic.symbols.offset)
    let count = max(
      try dynamicSymbolCount(dynamic), isBefore ? 0 : distance / UInt64(Symbol.byteCount))
    guard count <= limit / UInt64(Symbol.byteCount) else { return nil }
    return try wholeDynamicTable(dynamic, count: count)
  }

  /// The table of all symbols, which only section headers lead to; nil if the file was stripped
  /// or the table is larger than what is read.
  func allSymbols() throws(SymbolError) -> SymbolTable? {
    try handle.symbolTable()
  }

  /// The name under which other files ask for this one, nil if it has none.
  func sharedObjectName() throws(SymbolError) -> String? {
    guard let offset = dynamic?[DT_SONAME], let names = try dynamicSymbols()?.names,
      let range = names.dropping(offset, limit: 257)
    else { return nil }
    return try handle.bytes(at: range).text(at: 0, limit: 257)
      .map { String(decoding: $0, as: UTF8.self) }
  }

  private func dynamicSymbols() throws(SymbolError) -> DynamicSymbols? {
    guard let address = dynamic?[DT_SYMTAB], let names = try table(DT_STRTAB, size: DT_STRSZ)
    else { return nil }
    guard let symbols = location(of: address) else {
      throw .malformed(path: path, part: .dynamicSection, value: address)
    }
    return DynamicSymbols(symbols: symbols, names: names)
  }

  private func hashTable() throws(SymbolError) -> HashTable? {
    guard let address = dynamic?[DT_GNU_HASH] else { return nil }
    guard let all = location(of: address), let head = all.dropping(0, limit: 16) else {
      throw .malformed(path: path, part: .dynamicSection, value: address)
    }
    let bytes = try handle.bytes(at: head)
    guard let bucketCount = bytes.load(UInt32.self, at: 0), bucketCount > 0,
      let firstSymbol = bytes.load(UInt32.self, at: 4),
      let bloomCount = bytes.load(UInt32.self, at: 8), bloomCount > 0,
      let bloomShift = bytes.load(UInt32.self, at: 12),
      let bloom = all.dropping(16, limit: UInt64(bloomCount) * 8),
      let buckets = all.dropping(16 + UInt64(bloomCount) * 8, limit: UInt64(bucketCount) * 4),
      let chains = all.dropping(16 + UInt64(bloomCount) * 8 + UInt64(bucketCount) * 4)
    else { throw .malformed(path: path, part: .symbolHash, value: address) }
    return HashTable(
      bucketCount: bucketCount, firstSymbol: firstSymbol, bloomCount: bloomCount,
      bloomShift: bloomShift, bloom: bloom, buckets: buckets, chains: chains)
  }

  private func address(
    of name: String, _ table: HashTable, _ dynamic: DynamicSymbols
  ) throws(SymbolError) -> UInt64? {
    let hash = gnuHash(name.utf8)
    // Two bits of one word of the filter are set for every name that is in the table.
    let filter = try number(
      UInt64.self, at: UInt64(hash / 64 % table.bloomCount) * 8, in: table.bloom)
    let shifted = hash >> table.bloomShift
    let bits = (UInt64(1) << UInt64(hash % 64)) | (UInt64(1) << UInt64(shifted % 64))
    guard filter & bits == bits else { return nil }
    let first = try number(
      UInt32.self, at: UInt64(hash % table.bucketCount) * 4, in: table.buckets)
    guard first >= table.firstSymbol else { return nil }
    var index = UInt64(first)
    for _ in 0..<Self.chainLimit {
      let link = try number(
        UInt32.self, at: (index - UInt64(table.firstSymbol)) * 4, in: table.chains)
      if link | 1 == hash | 1, let symbol = try symbol(index, in: dynamic), symbol.isAddress,
        try hasName(symbol, name, in: dynamic)
      {
        return symbol.value
      }
      // The last of a chain is marked by bit 0, which belongs to no hash here.
      if link & 1 == 1 { return nil }
      index += 1
    }
    throw .malformed(path: path, part: .symbolHash, value: UInt64(first))
  }

  private func number<Number: FixedWidthInteger & BitwiseCopyable>(
    _ type: Number.Type, at offset: UInt64, in range: FileRange
  ) throws(SymbolError) -> Number {
    let size = MemoryLayout<Number>.size
    guard let place = range.dropping(offset, limit: UInt64(size)),
      let value = try handle.bytes(at: place).load(Number.self, at: 0)
    else { throw .malformed(path: path, part: .symbolHash, value: offset) }
    return value
  }

  private func symbol(
    _ index: UInt64, in dynamic: DynamicSymbols
  ) throws(SymbolError) -> Symbol? {
    // Indices are sums of 32-bit numbers: the product stays below 2^38.
    let size = UInt64(Symbol.byteCount)
    guard let place = dynamic.symbols.dropping(index * size, limit: size) else { return nil }
    return Symbol(try handle.bytes(at: place), at: 0)
  }

  private func hasName(
    _ symbol: Symbol, _ name: String, in dynamic: DynamicSymbols
  ) throws(SymbolError) -> Bool {
    let expected = Array(name.utf8) + [0]
    guard
      let place = dynamic.names.dropping(
        UInt64(symbol.nameOffset), limit: UInt64(expected.count))
    else { return false }
    return try handle.bytes(at: place).bytes == expected
  }

  private func wholeDynamicTable(
    _ dynamic: DynamicSymbols, count: UInt64
  ) throws(SymbolError) -> SymbolTable {
    let (size, overflow) = count.multipliedReportingOverflow(by: UInt64(Symbol.byteCount))
    guard !overflow else { throw .malformed(path: path, part: .symbolHash, value: count) }
    let symbols = FileRange(
      offset: dynamic.symbols.offset,
      byteCount: min(size, dynamic.symbols.byteCount, ElfHandle.pieceLimit))
    return SymbolTable(
      symbols: try handle.bytes(at: symbols),
      names: try handle.bytes(
        at: FileRange(
          offset: dynamic.names.offset,
          byteCount: min(dynamic.names.byteCount, ElfHandle.pieceLimit))))
  }

  /// How many dynamic symbols there are, which only the hash tables tell; without one, as many as
  /// fit before the names, which follow the symbols in every known linker's output.
  private func dynamicSymbolCount(_ dynamic: DynamicSymbols) throws(SymbolError) -> UInt64 {
    if let address = self.dynamic?[DT_HASH],
      let head = location(of: address)?.dropping(0, limit: 8),
      let count = try handle.bytes(at: head).load(UInt32.self, at: 4)
    {
      return UInt64(count)
    }
    if let table = try hashTable() { return try symbolCount(table) }
    let most = dynamic.symbols.byteCount / UInt64(Symbol.byteCount)
    guard dynamic.names.offset > dynamic.symbols.offset else { return most }
    return min(
      most, (dynamic.names.offset - dynamic.symbols.offset) / UInt64(Symbol.byteCount))
  }

  /// The number after the last symbol of the longest-reaching chain.
  private func symbolCount(_ table: HashTable) throws(SymbolError) -> UInt64 {
    let buckets = try handle.bytes(at: table.buckets)
    var last: UInt32 = 0
    for offset in stride(from: 0, to: buckets.count, by: 4) {
      last = max(last, buckets.load(UInt32.self, at: offset) ?? 0)
    }
    guard last >= table.firstSymbol else { return UInt64(table.firstSymbol) }
    for index in UInt64(last)..<UInt64(last) + Self.chainLimit {
      let link = try number(
        UInt32.self, at: (index - UInt64(table.firstSymbol)) * 4, in: table.chains)
      if link & 1 == 1 { return index + 1 }
    }
    throw .malformed(path: path, part: .symbolHash, value: UInt64(last))
  }
}
