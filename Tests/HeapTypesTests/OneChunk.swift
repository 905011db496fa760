// Chunks that are asked for one by one.

import HeapModel
import HeapTypes

extension TypeAttribution {
  /// The number of the type of `chunk`, whose first usable bytes are `beginning`: all of them, or 64.
  mutating func type(of chunk: Chunk, beginning: RawSpan) -> UInt32 {
    var bytes = [UInt8](repeating: 0, count: Self.beginning)
    for index in 0..<min(beginning.byteCount, Self.beginning) {
      bytes[index] = beginning.unsafeLoad(fromByteOffset: index, as: UInt8.self)
    }
    var chunks = [chunk]
    var span = chunks.mutableSpan
    tell(&span, beginnings: bytes.span.bytes, distance: Self.beginning)
    return chunks[0].held
  }
}
