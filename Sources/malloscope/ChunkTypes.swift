// What ties telling types to the walk that reads the chunks.

import GlibcHeap
import HeapModel
import HeapTypes
import LinuxTarget
import RemoteMemory
import Symbols

/// Tells what the chunks of one process hold, as a walk meets them.
///
/// Like the handles of the symbols that it asks for, it belongs to one thread at a time.
final class ChunkTypes: BeginningsReader {
  /// Nil only while it is at work.
  private var attribution: TypeAttribution?
  private let symbols: ProcessSymbols

  /// Prepares for `process`; no file is opened before a name in it is asked for.
  init(_ process: LinuxProcess, mappings: [MemoryMapping], _ request: CaptureRequest) {
    symbols = ProcessSymbols(
      pid: process.pid, mappings: mappings, memoryID: process.memoryID,
      directory: request.debugDirectory)
    attribution = TypeAttribution(
      TypeSources(
        binaries: symbols.binaries, memory: LiveMemoryReader(process), symbols: symbols))
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

  /// What was told, once every chunk was looked at.
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
    return HeldTypes(
      types: attribution.types, binaries: symbols.binaries, gaps: symbols.gaps)
  }
}

extension ProcessSymbols: SymbolLookup {}
