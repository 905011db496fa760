// The symbols of a file by address: which one a byte belongs to.

import CElfutils
import HeapModel

/// The symbols of one file, ascending by address.
///
/// Names stay bytes of the file's tables until they are asked for.
struct SymbolIndex {
  /// A symbol that names an address.
  struct Entry {
    /// Its ELF virtual address.
    var start: UInt64
    /// How many bytes it names, 0 if that is not said.
    var byteCount: UInt64
    /// Where its name is among the names of its table.
    var name: UInt32
    /// The number of its table.
    var table: UInt16
    /// Its ELF type.
    var type: UInt8
    /// What decides among symbols at the same address: the higher, the better.
    var rank: UInt8
    /// Where its section ends.
    var limit: UInt64
  }

  /// From `start` up to the next one, what the bytes belong to.
  private struct Span {
    var start: UInt64
    /// The number of an entry, -1 for none.
    var entry: Int32
  }

  /// The longest name; those of C++ can have thousands of bytes.
  private static let nameLimit = 1 << 16

  private var names: [FileBytes] = []
  private var entries: [Entry] = []
  private var spans: [Span] = []

  /// Makes an index of the symbols of all `tables`, which may name the same things.
  init(_ tables: [SymbolTable]) {
    names = tables.map(\.names)
    entries.reserveCapacity(tables.reduce(0) { $0 + $1.count })
    for (number, table) in tables.enumerated() {
      for index in 0..<table.count {
        guard let symbol = Symbol(table.symbols, at: index * Symbol.byteCount), symbol.isAddress,
          symbol.nameOffset != 0, !Self.isMark(symbol, table.names)
        else { continue }
        entries.append(
          Entry(
            start: symbol.value, byteCount: symbol.size, name: symbol.nameOffset,
            table: UInt16(truncatingIfNeeded: number), type: symbol.type,
            rank: Self.rank(symbol, table.names), limit: table.end(ofSection: symbol.section)))
      }
    }
    entries.sort { $0.start != $1.start ? $0.start < $1.start : $0.rank < $1.rank }
    makeSpans()
  }

  /// How many bytes it takes.
  var byteCount: Int {
    names.reduce(0) { $0 + $1.count } + entries.count * MemoryLayout<Entry>.stride
      + spans.count * MemoryLayout<Span>.stride
  }

  /// The symbol whose bytes hold ELF virtual address `address`.
  func entry(at address: UInt64) -> (number: Int, entry: Entry)? {
    let next = spans.partitionPoint(before: { $0.start <= address })
    guard next > 0, spans[next - 1].entry >= 0 else { return nil }
    let number = Int(spans[next - 1].entry)
    return (number, entries[number])
  }

  /// The name of a symbol, without the version that a linker may have put behind it.
  func name(of entry: Entry) -> String {
    guard names.indices.contains(Int(entry.table)),
      let bytes = names[Int(entry.table)].text(at: Int(entry.name), limit: Self.nameLimit)
    else { return "" }
    return String(decoding: bytes.unversioned, as: UTF8.self)
  }

  /// The ELF virtual address of the best symbol called `name`.
  func address(of name: String) -> UInt64? {
    let wanted = Array(name.utf8)
    guard !wanted.isEmpty else { return nil }
    var best: Entry?
    for entry in entries {
      if let best, best.rank >= entry.rank { continue }
      let table = names[Int(entry.table)]
      guard table.begins(with: wanted, at: Int(entry.name)),
        let end = table.load(UInt8.self, at: Int(entry.name) + wanted.count),
        end == 0 || end == UInt8(ascii: "@")
      else { continue }
      best = entry
    }
    return best?.start
  }

  /// Whether it says only that code (`$x`) or data (`$d`) begins here, as AArch64's assembler marks it; more
  /// may follow behind a dot.
  private static func isMark(_ symbol: Symbol, _ names: FileBytes) -> Bool {
    let place = Int(symbol.nameOffset)
    guard Int32(symbol.type) == STT_NOTYPE, let mark = names.load(UInt16.self, at: place),
      mark == 0x7824 || mark == 0x6424
    else { return false }
    let next = names.load(UInt8.self, at: place + 2)
    return next == 0 || next == UInt8(ascii: ".")
  }

  /// Sizes before none; global before weak before local; vtables and Swift's names before aliases.
  private static func rank(_ symbol: Symbol, _ names: FileBytes) -> UInt8 {
    let binding: UInt8 =
      switch Int32(symbol.binding) {
      case STB_GLOBAL, STB_GNU_UNIQUE: 4
      case STB_WEAK: 2
      default: 0
      }
    let first = names.load(UInt32.self, at: Int(symbol.nameOffset)) ?? 0
    // "_ZTV", or "$s" and two more.
    let isTelling = first == 0x5654_5a5f || first & 0xffff == 0x7324
    return (symbol.size > 0 ? 8 : 0) | binding | (isTelling ? 1 : 0)
  }

  /// Of symbols one within the other, the inner one has the bytes; where it ends, the outer one again.
  private mutating func makeSpans() {
    spans.reserveCapacity(entries.count + entries.count / 4)
    // Those that have not ended yet, the last one on top, with their ends.
    var open: [(entry: Int32, end: UInt64)] = []
    var nextStart: UInt64 = .max
    var ends = [UInt64](repeating: 0, count: entries.count)
    for index in entries.indices.reversed() {
      let entry = entries[index]
      if index + 1 < entries.count, entries[index + 1].start > entry.start {
        nextStart = entries[index + 1].start
      }
      let (end, overflow) = entry.start.addingReportingOverflow(entry.byteCount)
      ends[index] =
        entry.byteCount == 0
        ? max(entry.start, min(nextStart, entry.limit)) : overflow ? .max : end
    }
    for index in entries.indices {
      close(&open, upTo: entries[index].start)
      open.append((Int32(truncatingIfNeeded: index), ends[index]))
      put(Span(start: entries[index].start, entry: Int32(truncatingIfNeeded: index)))
    }
    close(&open, upTo: .max)
  }

  private mutating func close(_ open: inout [(entry: Int32, end: UInt64)], upTo limit: UInt64) {
    while let top = open.last, top.end <= limit {
      open.removeLast()
      while let next = open.last, next.end <= top.end { open.removeLast() }
      put(Span(start: top.end, entry: open.last?.entry ?? -1))
    }
  }

  private mutating func put(_ span: Span) {
    if let last = spans.last, last.start == span.start { spans.removeLast() }
    spans.append(span)
  }
}

extension FileBytes {
  /// Whether `pattern` lies at `offset`.
  func begins(with pattern: [UInt8], at offset: Int) -> Bool {
    guard offset >= 0, pattern.count <= count, offset <= count - pattern.count else { return false }
    for index in pattern.indices where bytes[offset + index] != pattern[index] { return false }
    return true
  }
}
