// What ties telling types to the walk that reads the chunks.

import GlibcHeap
import HeapModel
import HeapTypes
import LinuxTarget
import RemoteMemory
import Symbols
import Synchronization

/// Tells what the chunks of one process hold, as a walk meets them.
///
/// Like the handles of the symbols that it asks for, it belongs to one thread at a time.
final class ChunkTypes: BeginningsReader {
  /// Nil only while it is at work.
  private var attribution: TypeAttribution?
  private let symbols: ProcessSymbols
  private let key: KnownSymbols.Key

  /// Prepares for `process`; no file is opened before a name in it is asked for.
  init(_ process: LinuxProcess, mappings: [MemoryMapping], _ request: CaptureRequest) {
    key = KnownSymbols.Key(process, mappings: mappings, directory: request.debugDirectory)
    symbols =
      KnownSymbols.take(key)
      ?? ProcessSymbols(
        pid: process.pid, mappings: mappings, memoryID: process.memoryID,
        directory: request.debugDirectory)
    attribution = TypeAttribution(
      TypeSources(
        binaries: symbols.binaries, memory: LiveMemoryReader(process), symbols: symbols,
        pageSize: process.pageSize, asksLayouts: request.debugDirectory != nil))
  }

  func tell(_ chunks: inout MutableSpan<Chunk>, records: RawSpan) {
    // Taken out: each access to a property of a class costs more than what is done with it here.
    guard var attribution = attribution.take() else { return }
    for index in chunks.indices {
      let start = index * ChunkBeginnings.recordSize + 8
      let usable = min(ChunkBeginnings.byteCount, Int(clamping: chunks[index].usableSize))
      chunks[index].held = attribution.type(
        of: chunks[index], beginning: records.extracting(start..<start + usable))
    }
    self.attribution = consume attribution
  }

  /// What was told, once every chunk was looked at; to be called last.
  ///
  /// What only all chunks together show is noted in them.
  /// Buffers are given to their owners if the snapshot has the references for that.
  func finish(_ snapshot: inout HeapSnapshot) -> HeldTypes {
    guard var attribution = attribution.take() else { return HeldTypes() }
    attribution.finish(&snapshot.chunks)
    if !snapshot.references.isEmpty {
      attribution.findOwners(&snapshot.chunks, snapshot.references)
      snapshot.references = []
    }
    snapshot.findings += attribution.limits.map { Finding(.limitReached, at: nil, $0) }
    let held = HeldTypes(
      types: attribution.types, binaries: symbols.binaries, gaps: symbols.gaps)
    KnownSymbols.put(back: symbols, key)
    return held
  }
}

extension ProcessSymbols: SymbolLookup {}

/// The symbols of the process that was looked at last, while nobody looks: a watch asks for the same names
/// again and again, which takes 65 ms of a processor each time for a program like node.
private enum KnownSymbols {
  /// Whose they are.
  struct Key: Equatable {
    var pid: Int32
    var memoryID: Int32
    var start: UInt64
    var directory: String?
    /// The mappings of files.
    var files: [MemoryMapping]

    init(_ process: LinuxProcess, mappings: [MemoryMapping], directory: String?) {
      pid = process.pid
      memoryID = process.memoryID
      start = process.startTime
      self.directory = directory
      files = mappings.filter { $0.inode != 0 }
    }
  }

  /// A process's symbols, which belong to one thread at a time.
  ///
  /// Unchecked, since who takes them out of here is the only one who has them until they are put back.
  private struct Known: @unchecked Sendable {
    var key: Key
    var symbols: ProcessSymbols
  }

  private static let known = Mutex<Known?>(nil)

  /// Takes out the symbols of `key`, nil if they are not here.
  static func take(_ key: Key) -> ProcessSymbols? {
    let taken = known.withLock { known in
      let taken = known
      known = nil
      return taken
    }
    return taken?.key == key ? taken?.symbols : nil
  }

  /// Puts back symbols that nobody uses any more.
  static func put(back symbols: ProcessSymbols, _ key: Key) {
    known.withLock { $0 = Known(key: key, symbols: symbols) }
  }
}
