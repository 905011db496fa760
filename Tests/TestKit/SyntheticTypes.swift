// Types for the chunks of heap reports that are made by hand.

package import HeapModel

extension HeapReport {
  /// Gives the report chunks in use of types that are known by their names: how many of which size.
  package mutating func hold(_ plan: [(name: String, size: UInt64, count: Int)]) {
    var types: [HeldType] = [.unknown]
    var address: UInt64 = 0x55d0_c0ab_0010
    snapshot.chunks = []
    var numbers: [String: Int] = [:]
    for (name, size, count) in plan {
      let number = numbers[name] ?? types.count
      if number == types.count {
        numbers[name] = number
        types.append(
          HeldType(
            name: name, kind: .cxx, binary: "/srv/bin/server",
            evidence: TypeEvidence(.rtti, "vtable for \(name)")))
      }
      for _ in 0..<count {
        var chunk = Chunk(
          userAddress: RemoteAddress(address), size: size, usableSize: size - 8, state: .inUse,
          arena: 0)
        chunk.held = UInt32(number)
        snapshot.chunks.append(chunk)
        address += size
      }
    }
    held = HeldTypes(types: types)
  }
}
