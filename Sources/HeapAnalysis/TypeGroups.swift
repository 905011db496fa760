// Which row of a table of types a chunk belongs to.

import HeapModel

/// The groups of chunks that become rows.
struct TypeGroups {
  /// What types have to agree in to be of one row.
  private struct Name: Hashable {
    var name: String
    var kind: HeldKind
    var binary: Int

    // Kinds are few, and hashing them takes as long as a name does.
    func hash(into hasher: inout Hasher) {
      hasher.combine(name)
      hasher.combine(binary)
    }
  }

  /// The report's table of types, never empty.
  let types: [HeldType]
  /// What the groups have in common, by their numbers.
  private(set) var subjects: [TypeRow.Subject] = []
  private let grouping: TypeGrouping
  private let isExact: Bool
  private let sizes: ClosedRange<UInt64>?
  /// Of each type whether it is wanted, nil if all are.
  private let wanted: [Bool]?
  /// The group of each type, where that decides.
  private var groupOfType: [Int] = []
  /// The group of each size or arena found so far, and the last one asked for.
  private var groups: [UInt64: Int] = [:]
  private var last: (key: UInt64, group: Int)?

  init(_ report: HeapReport, _ options: TypeTableOptions) {
    let known = report.held?.types ?? []
    types = known.isEmpty ? [.unknown] : known
    grouping = options.grouping
    isExact = options.isExact
    sizes = options.pattern?.sizes
    wanted = options.pattern?.choice(of: types)
    switch grouping {
    case .type: groupByName()
    case .binary: groupByBinary()
    case .size, .arena: break
    }
  }

  private mutating func groupByName() {
    var places: [Name: Int] = [:]
    places.reserveCapacity(types.count)
    var binaries = BinaryNumbers()
    for type in types {
      let binary = binaries.number(of: type.binary)
      let name = Name(name: type.name, kind: type.kind, binary: binary)
      let group = places[name] ?? subjects.count
      if group == subjects.count {
        places[name] = group
        subjects.append(.type(type))
      } else if case .type(let other) = subjects[group],
        type.evidence.rule.place < other.evidence.rule.place
      {
        subjects[group] = .type(type)
      }
      groupOfType.append(group)
    }
  }

  private mutating func groupByBinary() {
    var places: [String?: Int] = [:]
    for type in types {
      let group = places[type.binary] ?? subjects.count
      if group == subjects.count {
        places[type.binary] = group
        subjects.append(.binary(type.binary))
      }
      groupOfType.append(group)
    }
  }

  /// What each group has; `all` are the tallies without a choice of sizes.
  mutating func tallies(_ report: HeapReport, _ all: HeldTallies) -> [Tally] {
    guard groupOfType.isEmpty else {
      let chosen = sizes == nil ? all : HeldTallies(report, sizes: sizes)
      var tallies = [Tally](repeating: Tally(), count: subjects.count)
      for (index, tally) in chosen.byType.enumerated() where wanted?[index] != false {
        tallies[groupOfType[index]] += tally
      }
      return tallies
    }
    var tallies: [Tally] = []
    for chunk in report.snapshot.chunks {
      guard let group = group(of: chunk) else { continue }
      while tallies.count <= group { tallies.append(Tally()) }
      tallies[group].add(size: chunk.size)
    }
    return tallies
  }

  /// The group of `chunk`, nil if it is not wanted.
  mutating func group(of chunk: Chunk) -> Int? {
    guard case .inUse = chunk.state else { return nil }
    if let sizes, !sizes.contains(chunk.size) { return nil }
    let index = Int(chunk.held) < types.count ? Int(chunk.held) : 0
    if let wanted, !wanted[index] { return nil }
    if !groupOfType.isEmpty { return groupOfType[index] }
    let key =
      switch grouping {
      case .arena: chunk.arena.map { UInt64(UInt32(bitPattern: $0)) } ?? .max
      default: isExact ? chunk.size : UInt64(SizeRanges.index(of: chunk.size))
      }
    if let last, last.key == key { return last.group }
    let group = groups[key] ?? subjects.count
    if group == subjects.count {
      groups[key] = group
      subjects.append(subject(of: chunk))
    }
    last = (key, group)
    return group
  }

  private func subject(of chunk: Chunk) -> TypeRow.Subject {
    guard grouping != .arena else { return .arena(chunk.arena) }
    return .sizes(
      isExact
        ? chunk.size...chunk.size : SizeRanges.range(at: SizeRanges.index(of: chunk.size)))
  }
}
