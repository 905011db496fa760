// Heaps as they change in programs of known behaviour.

import HeapAnalysis
import HeapModel
import TestKit

/// Histories of which it is known what they show; samples are 2 seconds apart.
enum GrowthSeries {
  /// Makes a history of `count` samples, each what `change` leaves of the heap.
  static func make(
    _ count: Int, command: String = "server", executable: String = "/srv/bin/server",
    _ change: (inout SyntheticReport, inout SyntheticRandom, Int) -> Void
  ) -> GrowthHistory {
    var history = GrowthHistory()
    var random = SyntheticRandom(seed: 7)
    for sample in 0..<count {
      var heap = SyntheticReport([
        SizeClass(size: 32, inUse: 2_000, free: 10, cached: 7),
        SizeClass(size: 48, inUse: 1_000, free: 4, cached: 7),
        SizeClass(size: 1_040, inUse: 40, free: 2, cached: 1),
        SizeClass(size: 65_552, inUse: 3, free: 1),
      ])
      heap.mmapped = [SizeClass(size: 1_052_672, inUse: 2)]
      heap.outsideBytes = 24 << 20
      heap.command = command
      heap.executable = executable
      change(&heap, &random, sample)
      let report = heap.report()
      let heapBytes = report.snapshot.systemAndMmappedBytes
      let memory = ProcessMemory(
        residentBytes: heapBytes &+ (heap.outsideBytes ?? 0) / 2, anonymousBytes: heapBytes,
        swappedBytes: 0,
        group: GroupMemory(usedBytes: heapBytes &+ (8 << 20), limitBytes: 512 << 20),
        age: .seconds(3_725 + 2 * sample))
      history.add(report, memory, at: 1_000 + 2 * Double(sample))
    }
    return history
  }

  /// A node of 48 bytes for each of about 500 requests a second.
  static let leak = make(40) { heap, random, sample in
    heap.arenas[0][1].inUse += 1_000 * sample + random.index(20)
    heap.arenas[0][2].inUse += random.index(6)
  }

  /// Blocks between those in use are given back and never fit again.
  static let fragmentation = make(40) { heap, random, sample in
    heap.arenas[0][0].inUse += random.index(200)
    heap.arenas[0][2].free += 200 * sample
    // Caches warm up beside it.
    heap.arenas[0][0].cached += min(100, 10 * sample)
  }

  /// More and more threads, each with full tcaches.
  static let caches = make(40) { heap, random, sample in
    heap.arenas[0][2].cached += 56 * sample
    heap.arenas[0][1].inUse += random.index(30)
  }

  /// A burst of 40 MB that is given back, of which the top keeps most.
  static let retention = make(40) { heap, _, sample in
    switch sample {
    case ..<5: break
    case ..<12: heap.arenas[0][2].inUse += 5_500 * (sample - 4)
    default:
      heap.topBytes += 36 << 20
      heap.arenas[0][2].free += 3_000
    }
  }

  /// Mappings that are not malloc's.
  static func outside(_ command: String, _ executable: String) -> GrowthHistory {
    make(40, command: command, executable: executable) { heap, random, sample in
      heap.outsideBytes = heap.outsideBytes.map { $0 + UInt64(sample) << 20 }
      heap.arenas[0][0].inUse += random.index(100)
    }
  }

  /// As much is allocated as is freed.
  static let churn = make(40) { heap, random, _ in
    for place in heap.arenas[0].indices {
      heap.arenas[0][place].inUse += random.index(heap.arenas[0][place].inUse)
      heap.arenas[0][place].free += random.index(50)
      heap.arenas[0][place].cached += random.index(20)
    }
  }

  /// Nothing at all happens.
  static let idle = make(20) { _, _, _ in }

  /// Less and less is in use.
  static let decline = make(40) { heap, random, sample in
    heap.arenas[0][1].inUse += 400 * (40 - sample) + random.index(50)
  }

  /// A leak, and faster than that memory outside of malloc and fragmentation.
  static let several = make(40) { heap, _, sample in
    heap.arenas[0][1].inUse += 1_000 * sample
    heap.arenas[0][2].free += 100 * sample
    heap.outsideBytes = heap.outsideBytes.map { $0 + UInt64(sample) << 20 }
  }

  /// A server whose caches warm up by 200 KB and are warm then.
  static let warming = make(120) { heap, random, sample in
    var warm = 4_000.0
    for _ in 0..<sample { warm *= 0.93 }
    heap.arenas[0][1].inUse += 4_000 - Int(warm) + random.index(12)
    heap.arenas[0][0].cached += min(3_000, sample * 150)
  }
}
