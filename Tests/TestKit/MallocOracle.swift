// What glibc says of a heap from inside, as HeapScenario prints it.

package import HeapModel

/// The figures of mallinfo2.
package struct MallInfo2: Hashable, Sendable {
  private let fields: [String: UInt64]

  /// Reads `arena=1 ordblks=2 ...`, the words of HeapScenario's line.
  ///
  /// - Throws: `TestKitError.malformed` if one of the ten fields is missing or no number.
  package init(_ words: [String]) throws(TestKitError) {
    var fields: [String: UInt64] = [:]
    for word in words {
      let parts = word.split(separator: "=")
      guard parts.count == 2, let value = UInt64(parts[1]) else {
        throw .malformed(what: "a field of mallinfo2", text: word)
      }
      fields[String(parts[0])] = value
    }
    for name in Self.names where fields[name] == nil {
      throw .malformed(what: "mallinfo2 without \(name)", text: words.joined(separator: " "))
    }
    self.fields = fields
  }

  private static let names = [
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
    "keepcost",
  ]

  private func field(_ name: String) -> UInt64 { fields[name] ?? 0 }

  /// Bytes that all arenas have from the system.
  package var arena: UInt64 { field("arena") }
  /// Binned chunks, and one top for each arena.
  package var ordblks: UInt64 { field("ordblks") }
  /// Chunks in fastbins.
  package var smblks: UInt64 { field("smblks") }
  /// Mmapped chunks.
  package var hblks: UInt64 { field("hblks") }
  /// Their mappings' bytes.
  package var hblkhd: UInt64 { field("hblkhd") }
  /// Always 0.
  package var usmblks: UInt64 { field("usmblks") }
  /// Bytes of chunks in fastbins.
  package var fsmblks: UInt64 { field("fsmblks") }
  /// Bytes of arenas that are not free.
  package var uordblks: UInt64 { field("uordblks") }
  /// Bytes of binned and fastbin chunks and of the tops.
  package var fordblks: UInt64 { field("fordblks") }
  /// Bytes of the main arena's top.
  package var keepcost: UInt64 { field("keepcost") }
}

/// The document that malloc_info writes.
package struct MallocInfo: Hashable, Sendable {
  /// A number of chunks and their bytes.
  package struct Amount: Hashable, Sendable {
    /// How many.
    package var count: UInt64
    /// Their bytes, counted as glibc counts them in that place.
    package var bytes: UInt64

    /// Makes an amount.
    package init(count: UInt64, bytes: UInt64) {
      self.count = count
      self.bytes = bytes
    }
  }

  /// One line of a heap's sizes: a bin that is not empty.
  package struct SizeRange: Hashable, Sendable {
    /// The smallest size, as written.
    package var from: UInt64
    /// The largest size, as written.
    package var to: UInt64
    /// The sum of the sizes.
    package var total: UInt64
    /// How many chunks.
    package var count: UInt64
    /// Whether it is the unsorted bin.
    package var isUnsorted: Bool
  }

  /// What one heap element, or the whole document, says.
  package struct Part: Hashable, Sendable {
    /// The non-empty bins, in the order written.
    package var sizes: [SizeRange] = []
    /// The totals by their type: `fast`, `rest`, `mmap`.
    package var totals: [String: Amount] = [:]
    /// The system's bytes by type: `current`, `max`.
    package var system: [String: UInt64] = [:]
    /// The address space by type: `total`, `mprotect`, `subheaps`.
    package var addressSpace: [String: UInt64] = [:]
  }

  /// One part for each arena, in the order of the ring: the main arena first.
  package private(set) var heaps: [Part] = []
  /// The sums over all arenas, with the mmapped chunks.
  package private(set) var whole = Part()

  /// Reads the document leniently: it looks at one element after the other, not at their closing.
  ///
  /// - Throws: `TestKitError.malformed` if an element lacks a number that it should have, or if no
  ///   heap is there.
  package init(_ text: String) throws(TestKitError) {
    var open: Part?
    for element in text.split(separator: "<") {
      let attributes = Self.attributes(of: element)
      if element.hasPrefix("/heap") {
        if let part = open { heaps.append(part) }
        open = nil
      } else if element.hasPrefix("heap ") {
        open = Part()
      } else {
        var part = open ?? whole
        try Self.read(element, attributes, into: &part)
        if open == nil { whole = part } else { open = part }
      }
    }
    if heaps.isEmpty { throw .malformed(what: "malloc_info without a heap", text: text) }
  }

  private static func read(
    _ element: Substring, _ attributes: [Substring: Substring], into part: inout Part
  ) throws(TestKitError) {
    func number(_ name: Substring) throws(TestKitError) -> UInt64 {
      guard let value = attributes[name].flatMap({ UInt64($0) }) else {
        throw .malformed(what: "\(name) of an element of malloc_info", text: String(element))
      }
      return value
    }
    let type = String(attributes["type"] ?? "")
    switch element.prefix(while: { $0 != " " && $0 != ">" }) {
    case "size", "unsorted":
      part.sizes.append(
        SizeRange(
          from: try number("from"), to: try number("to"), total: try number("total"),
          count: try number("count"), isUnsorted: element.hasPrefix("unsorted")))
    case "total":
      part.totals[type] = Amount(count: try number("count"), bytes: try number("size"))
    case "system": part.system[type] = try number("size")
    case "aspace":
      part.addressSpace[type] = try number("size")
    default: break
    }
  }

  private static func attributes(of element: Substring) -> [Substring: Substring] {
    // name="value" pairs: the quotes split them into names ending in `=` and values.
    let pieces = element.split(separator: "\"", omittingEmptySubsequences: false)
    var attributes: [Substring: Substring] = [:]
    var index = 0
    while index + 1 < pieces.count {
      let name = pieces[index].split(separator: " ").last?.dropLast() ?? ""
      attributes[name] = pieces[index + 1]
      index += 2
    }
    return attributes
  }
}

/// All that a scenario prints before it says that it is ready.
package struct HeapOracle: Sendable {
  /// mallinfo2, nil in scenarios that do not call it.
  package private(set) var mallInfo2: MallInfo2?
  /// malloc_info, nil in scenarios that do not call it.
  package private(set) var mallocInfo: MallocInfo?
  /// The usable size of every block that the scenario holds and lists, by its address.
  package private(set) var live: [RemoteAddress: UInt64] = [:]
  /// The same of blocks that libc holds on the scenario's behalf.
  package private(set) var libc: [RemoteAddress: UInt64] = [:]
  /// How many blocks it holds, and their usable bytes.
  package private(set) var held: MallocInfo.Amount?
  /// The words that overwrite the heap in `damaged`, in their order.
  package private(set) var damage: [RemoteAddress] = []
  /// The thread pointers of the living threads by their ids, where the program prints them: on aarch64.
  package private(set) var threadPointers: [Int32: RemoteAddress] = [:]
  /// The other lines, by their first word: for instance `child` and a process id.
  package private(set) var facts: [String: [String]] = [:]

  /// Reads the lines before `ready`.
  ///
  /// - Throws: `TestKitError.malformed`.
  package init(_ lines: [String]) throws(TestKitError) {
    var document: [String]?
    for line in lines {
      if line == "malloc_info BEGIN" {
        document = []
      } else if line == "malloc_info END" {
        mallocInfo = try MallocInfo((document ?? []).joined(separator: "\n"))
        document = nil
      } else if document != nil {
        document?.append(line)
      } else {
        try read(line)
      }
    }
  }

  private mutating func read(_ line: String) throws(TestKitError) {
    let words = line.split(separator: " ").map(String.init)
    guard let first = words.first else { return }
    switch first {
    case "mallinfo2": mallInfo2 = try MallInfo2(Array(words.dropFirst()))
    case "live", "libc":
      guard words.count == 3, let address = Self.address(words[1]), let usable = UInt64(words[2])
      else { throw .malformed(what: "a block", text: line) }
      if first == "live" { live[address] = usable } else { libc[address] = usable }
    case "held":
      guard words.count == 3, let count = UInt64(words[1]), let bytes = UInt64(words[2])
      else { throw .malformed(what: "the blocks held", text: line) }
      held = MallocInfo.Amount(count: count, bytes: bytes)
    case "thread":
      guard words.count == 3, let tid = Int32(words[1]), let pointer = Self.address(words[2])
      else { throw .malformed(what: "a thread", text: line) }
      threadPointers[tid] = pointer
    case "damaged":
      guard words.count == 3, let address = Self.address(words[1])
      else { throw .malformed(what: "a damaged word", text: line) }
      damage.append(address)
    default: facts[first] = Array(words.dropFirst())
    }
  }

  private static func address(_ text: String) -> RemoteAddress? {
    guard text.hasPrefix("0x") else { return nil }
    return UInt64(text.dropFirst(2), radix: 16).map(RemoteAddress.init)
  }
}
