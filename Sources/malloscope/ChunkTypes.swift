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
/// It belongs to one thread at a time.
final class ChunkTypes: BeginningsReader {
  /// Nil only while it is at work.
  private var attribution: TypeAttribution?
  private let symbols: SharedSymbols

  /// Prepares for `process`; no file is opened before a name in it is asked for.
  init(_ process: LinuxProcess, mappings: [MemoryMapping], _ request: CaptureRequest) {
    let symbols = SharedSymbols.of(process, mappings: mappings, request)
    self.symbols = symbols
    attribution = TypeAttribution(
      TypeSources(
        binaries: symbols.binaries, memory: LiveMemoryReader(process), symbols: symbols,
        pageSize: process.pageSize, asksLayouts: request.debugDirectory != nil))
  }

  func tell(_ chunks: inout MutableSpan<Chunk>, records: RawSpan) {
    // Taken out: each access to a property of a class costs more than what is done with it here.
    guard var attribution = attribution.take() else { return }
    // Before the first bytes of each stands its size.
    attribution.tell(
      &chunks, beginnings: records.extracting(8..<records.byteCount),
      distance: ChunkBeginnings.recordSize)
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
    return HeldTypes(
      types: attribution.types, binaries: symbols.binaries, gaps: symbols.gaps)
  }
}

/// The symbols of a process, for whichever thread asks.
private final class SharedSymbols: SymbolLookup, Sendable {
  /// Whose they are.
  private struct Key: Equatable {
    var pid: Int32
    var memoryID: Int32
    var start: UInt64
    var directory: String?
    /// The mappings of files.
    var files: [MemoryMapping]
  }

  /// Those of the process that was looked at last: a watch asks for the same names again and again, which takes
  /// 65 ms of a processor each time for a program like node.
  private static let latest = Mutex<(key: Key, symbols: SharedSymbols)?>(nil)

  private let symbols: Mutex<ProcessSymbols>

  private init(_ process: LinuxProcess, mappings: [MemoryMapping], directory: String?) {
    symbols = Mutex(
      ProcessSymbols(
        pid: process.pid, mappings: mappings, memoryID: process.memoryID, directory: directory))
  }

  /// Those of `process`, as they are known already if it has the same files mapped as when they were made.
  static func of(
    _ process: LinuxProcess, mappings: [MemoryMapping], _ request: CaptureRequest
  ) -> SharedSymbols {
    let key = Key(
      pid: process.pid, memoryID: process.memoryID, start: process.startTime,
      directory: request.debugDirectory, files: mappings.filter { $0.inode != 0 })
    return latest.withLock { latest in
      if let latest, latest.key == key { return latest.symbols }
      let symbols = SharedSymbols(process, mappings: mappings, directory: key.directory)
      latest = (key, symbols)
      return symbols
    }
  }

  /// The files that the target has mapped, ascending by address.
  var binaries: [MappedBinary] { symbols.withLock { $0.binaries } }

  /// What is missing of those of which something was asked.
  var gaps: [SymbolGap] { symbols.withLock { $0.gaps } }

  func symbol(at address: RemoteAddress) -> NamedSymbol? {
    symbols.withLock { $0.symbol(at: address) }
  }

  func demangled(_ name: String) -> String? { Demangling.name(name) }

  func layout(of name: String, in binary: String) -> TypeLayout? {
    symbols.withLock { $0.layout(of: name, in: binary) }
  }
}
