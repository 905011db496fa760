// How long telling a type takes, printed when it is asked for: with MALLOSCOPE_MEASURE set, in a release
// build (swift test -c release --filter TypeSpeedTests).

import Glibc
import HeapModel
import HeapTypes
import TestKit
import Testing

@Suite struct TypeSpeedTests {
  @Test(
    "a million chunks with 10,000 classes, and with other contents",
    .enabled(if: getenv("MALLOSCOPE_MEASURE") != nil))
  func million() {
    var image = ClassImage(classes: 10_200)
    let classes = (0..<10_000).map { image.addClass("N3app8Class\(100_000 + $0)E") }
    let sources = image.sources()
    var random = SyntheticRandom(seed: 1)
    measure("10,000 classes", sources) { address in
      [classes[Int(random.next() % 10_000)], 1, 2, 3, address + 80, 0, 0, 0]
    }
    measure("zeros", sources) { _ in [UInt64](repeating: 0, count: 8) }
    measure("text", sources) { _ in [UInt64](repeating: 0x6161_6161_6161_6161, count: 8) }
    measure("mixed", sources) { [$0 & 0xFFFF, $0 - 80, $0 + 160, 0, $0, 5, 6, $0] }
    measure("random", sources) { _ in (0..<8).map { _ in random.next() } }
    measure("structures of C", sources) { [1, image.data + 64, 5, $0, 0, 0, 0, 0] }
  }

  private func measure(_ name: String, _ sources: TypeSources, _ make: (UInt64) -> [UInt64]) {
    let count = 1_000_000
    var words: [UInt64] = []
    words.reserveCapacity(count * 8)
    var chunks: [Chunk] = []
    for index in 0..<count {
      let address = 0x5555_7000_0010 + UInt64(index) * 80
      words += make(address)
      chunks.append(
        Chunk(
          userAddress: RemoteAddress(address), size: 80, usableSize: 72, state: .inUse, arena: 0))
    }
    var best = (type: Duration.seconds(100), finish: Duration.seconds(100))
    for _ in 0..<5 {
      var attribution = TypeAttribution(sources)
      let clock = ContinuousClock()
      let all = words.span.bytes
      let begin = clock.now
      for index in 0..<count {
        chunks[index].held = attribution.type(
          of: chunks[index], beginning: all.extracting(index * 64..<(index + 1) * 64))
      }
      let middle = clock.now
      attribution.finish(&chunks)
      best = (min(best.type, middle - begin), min(best.finish, clock.now - middle))
    }
    print("\(name): \(best.type / count) a chunk, finishing \(best.finish / count)")
  }
}
