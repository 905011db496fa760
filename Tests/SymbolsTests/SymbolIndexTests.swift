// Symbols by address, from tables that are built by hand.

import HeapModel
import Testing

@testable import Symbols

@Suite("An address is the best symbol's")
struct SymbolIndexTests {
  /// A table of symbols with these names, each in the section of code, with its ELF type and place.
  private static func table(
    _ symbols: [(name: String, type: UInt8, value: UInt64, size: UInt64)]
  ) -> SymbolTable {
    var bytes: [UInt8] = []
    var names: [UInt8] = [0]
    func put<Number: FixedWidthInteger>(_ number: Number) {
      withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
    }
    for symbol in symbols {
      put(UInt32(names.count))
      put(symbol.type)
      put(UInt8(0))
      put(UInt16(1))
      put(symbol.value)
      put(symbol.size)
      names += Array(symbol.name.utf8) + [0]
    }
    return SymbolTable(symbols: FileBytes(bytes: bytes), names: FileBytes(bytes: names))
  }

  @Test("marks of where code and data begin are no symbols")
  func marks() throws {
    let index = SymbolIndex([
      Self.table([
        ("$x", 0, 0x1000, 0), ("run", 2, 0x1000, 64), ("$d", 0, 0x1020, 0), ("$x.12", 0, 0x1030, 0),
        ("$d.run", 0, 0x2000, 0), ("$xyz", 0, 0x3000, 0), ("$", 0, 0x4000, 0), ("$d", 1, 0x5000, 8),
      ])
    ])
    func name(_ address: UInt64) -> String? {
      index.entry(at: address).map { index.name(of: $0.entry) }
    }
    for address: UInt64 in [0x1000, 0x1020, 0x1030, 0x103f] { #expect(name(address) == "run") }
    #expect(name(0x2000) == nil)
    #expect(name(0x3000) == "$xyz")
    #expect(name(0x4000) == "$")
    #expect(name(0x5004) == "$d")
    #expect(index.address(of: "$d") == 0x5000)
  }

  @Test("of several symbols of a name, the first of the best is taken, without its version")
  func best() {
    let index = SymbolIndex([
      Self.table([
        ("run", 2, 0x1000, 0), ("run", 2, 0x2000, 8), ("run", 2, 0x3000, 8),
        ("run@@V2", 0x12, 0x4000, 8), ("runner", 0x12, 0x5000, 8),
      ])
    ])
    #expect(index.address(of: "run") == 0x4000)
    #expect(index.address(of: "runner") == 0x5000)
    #expect(index.address(of: "ru") == nil)
    #expect(index.address(of: "") == nil)
    #expect(index.entry(at: 0x4001).map { index.name(of: $0.entry) } == "run")
    #expect(index.byteCount > 0)
  }
}
