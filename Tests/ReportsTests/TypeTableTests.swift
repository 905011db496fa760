// The rows of what chunks hold.

import HeapAnalysis
import HeapModel
import Testing

@Suite("Tables of types")
struct TypeTableTests {
  private let report = TypeFixtures.report

  private func table(
    _ by: TypeGrouping = .type, order: HistogramOrder = .bytes, _ pattern: String? = nil,
    limit: Int? = nil, isExact: Bool = false, sizes: Int? = nil, addresses: Int? = nil
  ) throws -> TypeTable {
    TypeTable(
      report,
      options: TypeTableOptions(
        grouping: by, order: order, pattern: try pattern.map { try TypePattern(parsing: $0) },
        limit: limit, isExact: isExact, sizeLimit: sizes, addressLimit: addresses))
  }

  private func type(_ row: TypeRow?) -> HeldType? {
    if case .type(let type) = row?.subject { type } else { nil }
  }

  private var inUse: [Chunk] { report.snapshot.chunks.filter { $0.state == .inUse } }

  @Test("every chunk in use is in one row, however rows are made", arguments: TypeGrouping.allCases)
  func completeness(by: TypeGrouping) throws {
    let expected = inUse.reduce(into: Tally()) { $0.add(size: $1.size) }
    for isExact in [false, true] {
      let table = try table(by, isExact: isExact)
      #expect(table.total == expected)
      #expect(table.rows.reduce(into: Tally()) { $0 += $1.held } == expected)
      #expect(table.rows.map(\.rank) == Array(1...table.rows.count))
      #expect(table.attribution.total == expected)
      #expect(table.rows.map(\.held.bytes) == table.rows.map(\.held.bytes).sorted(by: >))
    }
  }

  @Test("the same type by different evidence is one row, with the stronger evidence")
  func evidence() throws {
    let rows = try table("^Session$").rows
    #expect(rows.count == 1)
    #expect(rows[0].held == Tally(count: 50, bytes: 46 * 96 + 4 * 112))
    #expect(rows[0].held.average == 97)
    #expect(type(rows.first)?.evidence.rule == .rtti)
  }

  private func table(_ pattern: String) throws -> TypeTable { try table(.type, pattern) }

  @Test("a chunk with a number that is no type's counts as unknown")
  func strayNumber() throws {
    let row = try table().rows.first { type($0) == .unknown }
    #expect(row?.held == Tally(count: 8, bytes: 7 * 272 + 80))
    var bare = report
    bare.held = nil
    let table = TypeTable(bare)
    #expect(table.rows.map { type($0) } == [.unknown])
    #expect(table.total.count == inUse.count)
    #expect(table.attribution.unknown == table.total)
    bare.held = HeldTypes(types: [])
    #expect(TypeTable(bare).total == table.total)
  }

  @Test("rows follow the order asked for")
  func orders() throws {
    let counts = try table(order: .count).rows.map(\.held.count)
    #expect(counts == counts.sorted(by: >))
    let averages = try table(order: .size).rows.map(\.held.average)
    #expect(averages == averages.sorted(by: >))
    let names = try table(order: .name).rows.compactMap { type($0)?.name }
    #expect(names == names.sorted())
    let sizes = try table(.size, order: .name, isExact: true).rows.map(\.held.average)
    #expect(sizes == Set(inUse.map(\.size)).sorted())
    let arenas = try table(.arena, order: .name).rows.map(\.subject)
    #expect(arenas == [.arena(0), .arena(1), .arena(2), .arena(16), .arena(nil)])
  }

  @Test("what a limit leaves out is summed up")
  func limits() throws {
    let whole = try table()
    let top = try table(limit: 2)
    #expect(top.rows == Array(whole.rows.prefix(2)))
    #expect(top.omittedRows == whole.rows.count - 2)
    #expect(top.rest == whole.rows.dropFirst(2).reduce(into: Tally()) { $0 += $1.held })
    #expect(top.total == whole.total)
    #expect(try table(limit: 0).rest == whole.total)
  }

  @Test("a filter chooses types and sizes, for every way to make rows")
  func filters() throws {
    for by in TypeGrouping.allCases {
      let all = try table(by, "^Session$[100+]")
      #expect(all.total == Tally(count: 4, bytes: 4 * 112))
      #expect(try table(by, "nothing like it").rows.isEmpty)
    }
    let untyped = inUse.filter { [0, 5, 6, 7, 8, 10, 99].contains($0.held) }
    #expect(try table("malloc").total.count == untyped.count)
    // What is known is said of all, whatever is chosen.
    #expect(try table("^Session$").attribution == table().attribution)
  }

  @Test("rows by file have all its types, and one row has those of no file")
  func binaries() throws {
    let rows = try table(.binary).rows
    let server = rows.first { $0.subject == .binary(TypeFixtures.server) }
    #expect(server?.held.count == 44 + 9 + 25 + 3 + 6)
    let none = rows.first { $0.subject == .binary(nil) }
    #expect(none?.held.count == 2 + 151 + 1 + 7 + 1)
  }

  @Test("sizes within a row are those with most bytes, and addresses ascend")
  func details() throws {
    let rows = try table(sizes: 1, addresses: 3).rows
    let text = try #require(rows.first { type($0)?.name == "text (ASCII)" })
    #expect(text.sizes == [SizeClass(size: 266_240, inUse: 1)])
    #expect(text.chunks.count == 3)
    #expect(text.chunks.map(\.userAddress) == text.chunks.map(\.userAddress).sorted())
    #expect(text.chunks.allSatisfy { $0.held == 7 && $0.state == .inUse })
    let session = try #require(
      table(.type, "^Session$", sizes: 5, addresses: .max).rows.first)
    #expect(
      session.sizes == [SizeClass(size: 96, inUse: 46), SizeClass(size: 112, inUse: 4)])
    #expect(session.chunks.count == 50)
    let arenas = try table(.arena, order: .name, addresses: 1).rows
    #expect(arenas.map { $0.chunks.first?.arena } == [0, 1, 2, 16, nil])
  }

  @Test("typed is what has a type, content what only looks like something")
  func attribution() throws {
    let attribution = try table().attribution
    #expect(attribution.content == Tally(count: 152, bytes: 120 * 64 + 31 * 208 + 266_240))
    #expect(attribution.unknown == Tally(count: 8, bytes: 7 * 272 + 80))
    #expect(attribution[.rtti].count == 44 + 12)
    #expect(attribution[.vtableSymbol].count == 9 + 6)
    #expect(
      attribution.typed.count == inUse.count - attribution.content.count
        - attribution.unknown.count)
  }
}
