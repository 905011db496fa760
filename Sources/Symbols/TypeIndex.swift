// The structures of one file's debug information by name.

import CElfutils
import HeapModel

/// Finds structures by their names with all scopes.
///
/// Made by one pass over what units have outside of functions. What is inside a class is looked for when it is
/// asked for. It keeps the debug information open.
final class TypeIndex {
  private let dwarf: DwarfHandle
  /// Complete structures by the hash of their names, the first one of each name.
  private var structures: [UInt64: DebugEntry] = [:]
  /// Other names of types.
  private var typedefs: [UInt64: DebugEntry] = [:]
  /// Structures that are completed outside of the class that declares them; nil once they are among the others.
  private var completed: [DebugEntry]? = []
  /// The hashes of the structures that the unit at hand declares.
  private var declared: [UInt: UInt64] = [:]
  private var entriesLeft = entryLimit
  private let scopes: TypeScopes
  private let allowance: ReadingAllowance
  /// What was found up to now.
  private var layouts: [String: TypeLayout?] = [:]

  private static let entryLimit = 1 << 24
  /// About what one that is kept takes.
  private static let entrySize = 64
  private static let completedLimit = 1 << 14
  private static let depthLimit = 32
  /// How many entries of classes are looked through for what is inside, for one name.
  private static let memberLimit = 1 << 16
  private static let layoutLimit = 1 << 12

  /// Reads the names in `dwarf` and in what it shares with others.
  init(_ dwarf: consuming DwarfHandle, _ scopes: TypeScopes, _ allowance: ReadingAllowance) {
    self.dwarf = dwarf
    self.scopes = scopes
    self.allowance = allowance
    if let shared = self.dwarf.shared {
      allowance.take(Int(shared.handle.byteCount))
      addUnits(of: shared.handle)
    }
    addUnits(of: self.dwarf)
    allowance.take(Int(self.dwarf.byteCount))
    allowance.take((Self.entryLimit - entriesLeft) * Self.entrySize)
  }

  /// Whether the pass came to the end of the last unit; what is in more than 32 scopes it leaves out.
  var isComplete: Bool { entriesLeft > 0 }

  /// How the structure called `name` is laid out, nil if there is none that is complete.
  func layout(of name: String) -> TypeLayout? {
    if let known = layouts[name] { return known }
    let layout = structure(named: name).flatMap { TypeLayout($0, name: name, scopes) }
    if layouts.count < Self.layoutLimit, !allowance.isUsedUp {
      layouts[name] = .some(layout)
      allowance.take(name.utf8.count + (layout?.byteCountInMemory ?? 0))
    }
    return layout
  }

  // MARK: Looking up

  private func structure(named name: String) -> DebugEntry? {
    let parts = TypeSpelling.components(TypeSpelling.common(name.utf8))
    guard parts.count <= Self.depthLimit else { return nil }
    var hash = NameHash()
    for part in parts { hash.add(part) }
    if let found = known(hash) { return found }
    // In a class, which may be in another one.
    var left = Self.memberLimit
    for count in (1..<max(1, parts.count)).reversed() {
      var outer = NameHash()
      for part in parts[..<count] { outer.add(part) }
      guard let start = known(outer) else { continue }
      var entry: DebugEntry? = start
      for part in parts[count...] {
        entry = entry.flatMap { Self.member(of: $0, named: part, &left) }
      }
      if let entry { return entry }
    }
    guard let waiting = completed, !waiting.isEmpty else { return nil }
    completed = nil
    scopes.entriesLeft = 8 * TypeScopes.entryLimit
    for entry in waiting where scopes.entriesLeft > 0 {
      guard let declaration = entry.entry(Int(DW_AT_specification)),
        let name = scopes.name(of: declaration)
      else { continue }
      var hash = NameHash()
      for part in TypeSpelling.components(TypeSpelling.common(name.utf8)) { hash.add(part) }
      if structures[hash.value] == nil { structures[hash.value] = entry }
    }
    return structure(named: name)
  }

  private func known(_ hash: NameHash) -> DebugEntry? {
    structures[hash.value] ?? typedefs[hash.value].flatMap(Self.target)
  }

  /// The complete structure that a typedef stands for.
  private static func target(of typedef: DebugEntry) -> DebugEntry? {
    var entry = typedef
    for _ in 0..<DebugEntry.typeDepth {
      entry = entry.complete
      if entry.isStructure { return entry.has(Int(DW_AT_declaration)) ? nil : entry }
      guard entry.tag == Int(DW_TAG_typedef), let next = entry.entry(Int(DW_AT_type)) else {
        return nil
      }
      entry = next
    }
    return nil
  }

  private static func member(
    of entry: DebugEntry, named name: ArraySlice<UInt8>, _ left: inout Int
  ) -> DebugEntry? {
    var next = entry.child
    while let member = next, left > 0 {
      left -= 1
      let isTypedef = member.tag == Int(DW_TAG_typedef)
      if isTypedef || member.isStructure {
        let type = member.complete
        if !type.has(Int(DW_AT_declaration)), let found = type.commonName {
          left -= found.count / DebugEntry.charge
          if found.elementsEqual(name) { return isTypedef ? target(of: type) : type }
        }
      }
      next = member.sibling
    }
    return nil
  }

  // MARK: Reading

  private func addUnits(of dwarf: borrowing DwarfHandle) {
    dwarf.forEachUnit { unit in
      declared.removeAll(keepingCapacity: true)
      add(childrenOf: unit, in: NameHash(), depth: 0)
      return entriesLeft > 0
    }
  }

  private func add(childrenOf parent: DebugEntry, in scope: NameHash, depth: Int) {
    guard depth < Self.depthLimit else { return }
    var next = parent.child
    while let entry = next, entriesLeft > 0 {
      entriesLeft -= 1
      let tag = entry.tag
      if tag == Int(DW_TAG_namespace) {
        var inner = scope
        inner.add(name: entry, &entriesLeft)
        add(childrenOf: entry, in: inner, depth: depth + 1)
      } else if tag == Int(DW_TAG_typedef) {
        if let hash = scope.adding(entry, &entriesLeft), typedefs[hash] == nil {
          typedefs[hash] = entry
        }
      } else if entry.isStructure {
        add(structure: entry, in: scope)
      }
      next = entry.sibling
    }
  }

  private func add(structure entry: DebugEntry, in scope: NameHash) {
    let isDeclaration = entry.has(Int(DW_AT_declaration))
    var hash = scope.adding(entry, &entriesLeft)
    if !isDeclaration, entry.has(Int(DW_AT_specification)) {
      hash = entry.entry(Int(DW_AT_specification)).flatMap { declared[$0.identity] }
      // Its declaration is inside a class, or further on.
      if hash == nil, completed?.count ?? 0 < Self.completedLimit { completed?.append(entry) }
    }
    guard let hash else { return }
    if isDeclaration {
      declared[entry.identity] = hash
    } else if structures[hash] == nil {
      structures[hash] = entry
    }
  }
}

/// A hash of a name with its scopes (FNV-1a, 64 bits).
struct NameHash {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  /// Adds a part in the common spelling.
  mutating func add(_ part: some Sequence<UInt8>) {
    for letter in part { add(letter) }
    add(UInt8(ascii: ":"))
  }

  /// Adds the name of an entry, of a namespace without one what demanglers call it; a long one takes of
  /// `entriesLeft`.
  mutating func add(name entry: DebugEntry, _ entriesLeft: inout Int) {
    if let hash = adding(entry, &entriesLeft) {
      value = hash
    } else {
      add(TypeSpelling.anonymous)
    }
  }

  /// The hash with the name of an entry added, nil if it has none; a long one takes of `entriesLeft`.
  func adding(_ entry: DebugEntry, _ entriesLeft: inout Int) -> UInt64? {
    let hash = unsafe entry.withName { name -> UInt64? in
      guard !name.isEmpty else { return nil }
      entriesLeft -= name.count / DebugEntry.charge
      var hash = self
      if unsafe name.contains(where: { $0 == UInt8(ascii: "<") || $0 == UInt8(ascii: " ") }) {
        hash.add(unsafe TypeSpelling.common(name))
      } else {
        unsafe hash.add(name)
      }
      return hash.value
    }
    return hash ?? nil
  }

  private mutating func add(_ letter: UInt8) {
    value = (value ^ UInt64(letter)) &* 0x0000_0100_0000_01b3
  }
}

extension DebugEntry {
  /// Its name in the common spelling.
  fileprivate var commonName: [UInt8]? {
    unsafe withName { unsafe TypeSpelling.common($0) }
  }
}
