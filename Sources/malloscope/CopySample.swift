// How fast a process's memory can be copied, tried before it is stopped.

import CPtrace
import HeapModel
import LinuxTarget
import RemoteMemory

/// A measurement of copying some of a process's memory while it runs.
struct CopySample {
  private static let byteCount = 256 << 10
  private static let tries = 3

  /// How long copying a byte takes, nil if there was nothing to try it on.
  let nanosecondsPerByte: Double?

  /// Copies what is in memory at the beginning of one of the process's data mappings, and takes the
  /// fastest of some tries.
  init(of mappings: [MemoryMapping], pageSize: UInt64, reader: LiveMemoryReader) {
    var buffer = PageBuffer(byteCount: Self.byteCount)
    for mapping in mappings where mapping.isPrivateAnonymousData {
      let pages = Int(min(mapping.range.byteCount, UInt64(Self.byteCount)) / pageSize)
      let start = mapping.range.lowerBound
      guard
        let resident = reader.residentPrefix(
          from: start, count: pages, pageSize: pageSize)?.count,
        resident * Int(pageSize) >= Self.byteCount / 4
      else { continue }
      var best = Double.infinity
      for _ in 0..<Self.tries {
        let before = cpt_now()
        guard let count = try? buffer.fill(resident * Int(pageSize), from: start, of: reader),
          count > 0
        else { break }
        best = min(best, Double(cpt_now() - before) / Double(count))
      }
      if best.isFinite, best > 0 {
        nanosecondsPerByte = best
        return
      }
    }
    nanosecondsPerByte = nil
  }
}
