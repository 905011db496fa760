// Symbols of running programs, against gdb and nm, and where they are read from.

import Glibc
import HeapModel
import TestKit
import Testing

@testable import Symbols

@Suite("The symbol of an address is what gdb says it is")
struct ProcessSymbolsTests {
  /// What gdb says of addresses: the name and the distance, nil for none.
  private static func gdb(
    _ pid: Int32, _ addresses: [RemoteAddress]
  ) throws -> [(name: String, distance: UInt64)?] {
    let directory = try TestKit.TemporaryDirectory()
    let commands =
      ["set print demangle off"] + addresses.flatMap { ["echo >>\\n", "info symbol \($0)"] }
    try write(commands.joined(separator: "\n") + "\n", toFile: directory.file("commands"))
    let output = try run([
      "gdb", "-nx", "-batch", "-p", "\(pid)", "-x", directory.file("commands"),
    ])
    var answers: [(name: String, distance: UInt64)?] = []
    var isNext = false
    for line in output.split(separator: "\n") {
      if line.hasPrefix(">>") {
        isNext = true
        continue
      }
      guard isNext else { continue }
      isNext = false
      // "name + 12 in section .text of file"
      let words = line.split(separator: " ")
      guard let end = words.firstIndex(of: "in"), end == 1 || end == 3 else {
        answers.append(nil)
        continue
      }
      answers.append((String(words[0]), end == 3 ? UInt64(words[2]) ?? 0 : 0))
    }
    try #require(answers.count == addresses.count)
    return answers
  }

  /// Expects gdb to say of some hundred addresses what we say.
  private static func compare(_ fixture: borrowing StartedFixture) throws {
    var random = Xorshift()
    var addresses: [RemoteAddress] = []
    for binary in fixture.symbols.binaries {
      let own = binary.path == fixture.program
      for part in binary.parts {
        for _ in 0..<(own ? 60 : 12) {
          addresses.append(
            RemoteAddress(
              part.range.lowerBound.bits + UInt64(random.below(Int(part.range.byteCount)))))
        }
      }
    }
    let expected = try gdb(fixture.child.pid, addresses)
    var agreed = 0
    for (address, expected) in zip(addresses, expected) {
      // Names that gdb makes up for what the linker has made.
      if let expected, expected.name.hasSuffix("plt") { continue }
      let found = fixture.symbols.symbol(at: address)
      // Of several names of a place gdb may take another.
      if let found, let expected {
        let start = address.bits - expected.distance
        if start != found.start.bits {
          Issue.record("\(address): \(found), not \(expected)")
        }
        agreed += 1
      } else if let found, found.byteCount > 0 {
        Issue.record("\(address): \(found), which gdb does not have")
      } else if let expected, found == nil {
        Issue.record("\(address): not found, but \(expected)")
      }
    }
    #expect(agreed > 150)
  }

  @Test("in programs that are loaded anywhere, or where they say", arguments: ["-pie", "-no-pie"])
  func agrees(flag: String) throws {
    let fixture = try SymbolFixture([flag])
    try Self.compare(try fixture.start())
  }
}
