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
  private let sources: TypeSources

  /// Prepares for `process`; nothing is looked up yet.
  init(_ process: LinuxProcess, mappings: [MemoryMapping], _ request: CaptureRequest) {
    sources = TypeSources(binaries: [], memory: LiveMemoryReader(process), symbols: NoSymbols())
    attribution = TypeAttribution(sources)
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
  func finish(_ chunks: inout [Chunk]) -> HeldTypes {
    HeldTypes(types: attribution?.types ?? [], binaries: sources.binaries, gaps: [])
  }
}

private final class NoSymbols: SymbolLookup {
  func symbol(at address: RemoteAddress) -> NamedSymbol? { nil }
  func demangled(_ name: String) -> String? { nil }
  func layout(of name: String, in binary: String) -> TypeLayout? { nil }
}
