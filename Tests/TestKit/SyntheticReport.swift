// Heap reports made of a few sizes, for what follows heaps over time.

package import HeapModel

/// A heap report whose totals, arenas and sizes agree with each other.
package struct SyntheticReport: Sendable {
  /// The chunks of each arena, the main one first.
  package var arenas: [[SizeClass]]
  /// The chunks with a mapping of their own.
  package var mmapped: [SizeClass] = []
  /// The unused rest of the main arena.
  package var topBytes: UInt64 = 132 << 10
  /// Mapped memory that is not malloc's, nil if it is not known.
  package var outsideBytes: UInt64?
  /// How long the target was stopped.
  package var stop = Duration.microseconds(2_000)
  /// The name of its thread and of its file.
  package var command = "server"
  package var executable = "/srv/bin/server"

  /// Makes a heap with one arena.
  package init(_ sizes: [SizeClass]) {
    arenas = [sizes]
  }

  /// Where an arena lies.
  package static func address(ofArena place: Int) -> RemoteAddress {
    RemoteAddress(place == 0 ? 0x7f00_dead_bc60 : 0x7f10_0000_0030 + UInt64(place) << 26)
  }

  /// The report; `order` names the places of the arenas in the order in which they are linked.
  package func report(order: [Int]? = nil) -> HeapReport {
    var snapshot = HeapSnapshot()
    var sizes: [UInt64: SizeClass] = [:]
    func note(_ size: SizeClass) {
      var sum = sizes[size.size] ?? SizeClass(size: size.size)
      sum.inUse &+= size.inUse
      sum.free &+= size.free
      sum.cached &+= size.cached
      sizes[size.size] = sum
    }
    for (index, place) in (order ?? Array(arenas.indices)).enumerated() {
      var arena = ArenaSummary(
        index: index, address: Self.address(ofArena: place), kind: place == 0 ? .main : .thread)
      for size in arenas[place] {
        note(size)
        arena.inUse += Tally(count: size.inUse, bytes: size.inUseBytes)
        arena.free += Tally(count: size.free, bytes: size.freeBytes)
        arena.cached += Tally(count: size.cached, bytes: size.cachedBytes)
      }
      arena.topBytes = place == 0 ? topBytes : 0
      arena.systemBytes =
        arena.inUse.bytes &+ arena.free.bytes &+ arena.cached.bytes &+ arena.topBytes
      snapshot.arenas.append(arena)
    }
    for size in mmapped {
      note(size)
      snapshot.mmapped.add(size: size.size, count: size.inUse)
    }
    snapshot.sizes = sizes.values.sorted { $0.size < $1.size }
    snapshot.systemAndMmappedBytes = snapshot.systemBytes &+ snapshot.mmapped.bytes
    snapshot.accountedBytes = snapshot.systemAndMmappedBytes
    return HeapReport(
      target: TargetFacts(
        pid: 4242, namespacedPid: 4242, command: command, executable: executable, threads: 3,
        glibcVersion: "2.36", arenaLayout: "C", container: nil),
      capture: CaptureFacts(
        mode: .stop, consistency: .atomic, stops: 1, longestStop: stop, totalStop: stop,
        elapsed: .milliseconds(9), copiedBytes: snapshot.systemAndMmappedBytes),
      snapshot: snapshot,
      mappedDataBytes: outsideBytes.map { $0 &+ snapshot.systemAndMmappedBytes })
  }
}

extension SyntheticRandom {
  /// A number from 0 up to but not including 1.
  package mutating func fraction() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }

  /// A number of the normal distribution with mean 0 and deviation 1, nearly.
  package mutating func normal() -> Double {
    (0..<12).reduce(-6) { sum, _ in sum + fraction() }
  }
}
