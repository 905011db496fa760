// Findings as they come, of which only so many are kept.

import HeapModel

/// Collects findings; damage can make millions of them, so those beyond a limit are only counted.
struct FindingLog {
  private static let limit = 1000

  /// A part of the heap that may be swapped out.
  enum SwappedPart: Hashable, Sendable {
    /// An arena, by its index.
    case arena(Int)
    /// The lists of the threads' caches.
    case caches
    /// The mmapped chunks.
    case mmapped
  }

  /// What could not be seen of a part because it is swapped out.
  private struct Swapped: Sendable {
    var part: SwappedPart
    var address: UInt64?
    var bytes: UInt64
    var places: Int
  }

  private var kept: [Finding] = []
  /// One for each part, in the order of their finding; there can be as many as arenas, and none is lost.
  private var swapped: [Swapped] = []
  /// The parts of which something was swapped out, whether or not that mattered.
  private var swappedParts: Set<SwappedPart> = []
  private(set) var suppressed = 0
  /// Whether findings are dropped: they were told already.
  var isMuted = false

  mutating func add(
    _ kind: Finding.Kind, at address: UInt64?, bytes: UInt64 = 0, chunk: NamedChunk? = nil,
    evenIfMuted: Bool = false, _ detail: @autoclosure () -> String
  ) {
    if isMuted, !evenIfMuted { return }
    guard kept.count < Self.limit else {
      suppressed += 1
      return
    }
    kept.append(
      Finding(kind, at: address.map(RemoteAddress.init), bytes: bytes, chunk: chunk, detail()))
  }

  // MARK: Swapped out

  /// Notes that something of `part` is swapped out, which may matter later.
  mutating func noteSwapped(_ part: SwappedPart) {
    swappedParts.insert(part)
  }

  /// Whether something of `part` is swapped out, so that contradictions there are no damage.
  func hasSwapped(_ part: SwappedPart) -> Bool { swappedParts.contains(part) }

  /// Adds to what was not seen of `part`: `bytes` that were not counted in `places` places, or, with 0
  /// bytes, links that were not followed.
  ///
  /// All that is added to a part becomes one finding.
  mutating func addSwapped(
    _ part: SwappedPart, at address: UInt64?, bytes: UInt64 = 0, places: Int = 1
  ) {
    swappedParts.insert(part)
    if isMuted { return }
    guard let index = swapped.firstIndex(where: { $0.part == part }) else {
      swapped.append(Swapped(part: part, address: address, bytes: bytes, places: places))
      return
    }
    swapped[index].bytes &+= bytes
    swapped[index].places &+= places
  }

  /// What was found, damage first.
  var findings: [Finding] {
    kept
      + swapped.map { item in
        Finding(
          .swapped, at: item.address.map(RemoteAddress.init), bytes: item.bytes, detail(of: item))
      }
  }

  private func detail(of item: Swapped) -> String {
    func counted(_ noun: String) -> String {
      "\(item.places) \(noun)\(item.places == 1 ? "" : "s")"
    }
    return switch item.part {
    case .arena(let index) where item.bytes == 0:
      "links of free chunks of arena \(index) are swapped out and were not read: its lists were not "
        + "compared"
    case .arena(let index):
      "\(item.bytes) bytes of arena \(index) were not counted: in \(counted("place")), headers of "
        + "chunks are swapped out and were not read; free chunks that only those lead to count as in "
        + "use"
    case .caches:
      "links of \(counted("cached chunk")) are swapped out and were not read: what follows them in "
        + "their lists counts as in use"
    case .mmapped:
      "\(counted("mmapped chunk")) of \(item.bytes) bytes were not found: pages that may hold their "
        + "headers are swapped out and were not read"
    }
  }
}
