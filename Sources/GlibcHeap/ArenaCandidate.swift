// Places in a library's file that look like its `main_arena` before the program began.

import HeapModel

/// A place in a file that looks like the initial `main_arena`.
struct ArenaCandidate {
  /// Its ELF virtual address.
  var address: UInt64
  /// Its layout.
  var layout: ArenaLayout

  /// The places that look exactly so.
  static func all(in image: ELFImage) -> [ArenaCandidate] {
    var candidates: [ArenaCandidate] = []
    var seen: Set<UInt64> = []
    forEachPointer(in: image) { place, target in
      guard let layout = layout(place: place, target: target, in: image),
        seen.insert(target).inserted
      else { return }
      candidates.append(ArenaCandidate(address: target, layout: layout))
    } isEnough: {
      !candidates.isEmpty
    }
    return candidates
  }

  /// It as a trace for messages.
  var trace: LayoutMisfit.ArenaTrace {
    LayoutMisfit.ArenaTrace(
      address: address, distance: UInt64(layout.next), layout: layout.name)
  }

  /// Distances at which an arena of a layout that is not known might point to itself, in bytes.
  private static let plausibleDistances: ClosedRange<UInt64> = 1024...8192

  /// What looks like an arena of a layout that is not known: a pointer back over nothing but zeros.
  ///
  /// Nil if there is nothing of the kind.
  static func trace(in loaded: LoadedImage) -> LayoutMisfit? {
    let image = loaded.image
    var misfit = LayoutMisfit(loaded)
    forEachPointer(in: image) { place, target in
      let (distance, underflow) = place.subtractingReportingOverflow(target)
      guard !underflow, plausibleDistances.contains(distance), target % 8 == 0,
        misfit.arenas.count < 8, isZero(from: target, to: place, in: image),
        !misfit.arenas.contains(where: { $0.address == target })
      else { return }
      misfit.arenas.append(.init(address: target, distance: distance))
    } isEnough: {
      !misfit.arenas.isEmpty
    }
    return misfit.arenas.isEmpty ? nil : misfit
  }

  /// Calls `body` with the place and the target of each relative relocation, and then, unless that
  /// `isEnough`, of each word in place that may be a pointer.
  private static func forEachPointer(
    in image: ELFImage, _ body: (_ place: UInt64, _ target: UInt64) -> Void, isEnough: () -> Bool
  ) {
    for relocation in image.relativeRelocations { body(relocation.place, relocation.target) }
    guard image.isPositionDependent, !isEnough() else { return }
    for piece in image.initialBytes {
      let bytes = CopiedBytes(piece.bytes)
      for offset in stride(from: 0, through: piece.bytes.count - 8, by: 8) {
        guard let word = bytes.word(at: offset), word != 0 else { continue }
        body(piece.virtualAddress &+ UInt64(offset), word)
      }
    }
  }

  /// Whether the file has zeros from `start` to `end`, which lie in one of its writable segments.
  private static func isZero(from start: UInt64, to end: UInt64, in image: ELFImage) -> Bool {
    guard
      let piece = image.initialBytes.first(where: { piece in
        piece.virtualAddress <= start && end - piece.virtualAddress <= UInt64(piece.bytes.count)
      })
    else { return false }
    let first = Int(start - piece.virtualAddress)
    return piece.bytes[first..<first + Int(end - start)].allSatisfy { $0 == 0 }
  }

  /// The layout of an arena at `target` whose `next` field is at `place`, if the file's bytes there
  /// are those of an arena that was never used: zeros but for `next` and `attached_threads`.
  private static func layout(place: UInt64, target: UInt64, in image: ELFImage) -> ArenaLayout? {
    let (distance, underflow) = place.subtractingReportingOverflow(target)
    guard !underflow, target % 8 == 0 else { return nil }
    let choices = [ArenaLayout.d, .c, .b, .a].filter { UInt64($0.next) == distance }
    guard let largest = choices.first,
      let piece = image.initialBytes.first(where: { piece in
        piece.virtualAddress <= target
          && target - piece.virtualAddress <= UInt64(piece.bytes.count)
      })
    else { return nil }
    let start = Int(target - piece.virtualAddress)
    let bytes = CopiedBytes(piece.bytes)
    for offset in stride(from: 0, to: largest.next, by: 8)
    where (bytes.word(at: start + offset) ?? 0) != 0 {
      return nil
    }
    return choices.first { layout in
      guard let threads = layout.attachedThreads else { return true }
      return bytes.word(at: start + threads) == 1
    }
  }
}
