// Programs that say where their objects are, and those objects as a walk would hand them over.

import Glibc
import HeapModel
import HeapTypes
import LinuxTarget
import RemoteMemory
import TestKit

/// A block of memory of which the program says what it holds.
struct AnnouncedObject {
  var chunk: Chunk
  var name: String
}

/// A running program with objects, and what is needed to tell their types.
final class LiveObjects {
  let program: TargetProgram
  let objects: [AnnouncedObject]
  let binaries: [MappedBinary]
  let memory: LiveMemoryReader

  init(_ path: String, _ arguments: [String] = []) throws {
    program = try TargetProgram(ChildProcess.Launch(path, arguments))
    objects = try program.waitReady().compactMap(Self.object)
    binaries = try Self.binaries(of: program.pid)
    memory = LiveMemoryReader(pid: program.pid)
  }

  /// The object that a line `object ADDRESS USABLE NAME` announces.
  private static func object(_ line: String) -> AnnouncedObject? {
    let fields = line.split(separator: " ", maxSplits: 3)
    guard fields.count == 4, fields[0] == "object",
      let address = UInt64(fields[1].dropFirst(2), radix: 16), let usable = UInt64(fields[2])
    else { return nil }
    // What is no beginning of a chunk has no usable size that means anything.
    return AnnouncedObject(
      chunk: Chunk(
        userAddress: RemoteAddress(address), size: (usable &+ 8) & ~15, usableSize: usable,
        state: .inUse, arena: 0), name: String(fields[3]))
  }

  /// What `attribution` says of the objects, each with what the program says.
  func told(
    _ attribution: inout TypeAttribution
  ) throws -> [(said: String, told: HeldType, chunk: Chunk)] {
    var chunks: [Chunk] = []
    for object in objects {
      let count = min(64, Int(object.chunk.usableSize))
      let bytes = try memory.bytes(at: object.chunk.userAddress, count: count) ?? []
      var chunk = object.chunk
      chunk.held = attribution.type(of: chunk, beginning: bytes.span.bytes)
      chunks.append(chunk)
    }
    let order = chunks.indices.sorted { chunks[$0].userAddress < chunks[$1].userAddress }
    var ascending = order.map { chunks[$0] }
    attribution.finish(&ascending)
    for (place, index) in order.enumerated() { chunks[index] = ascending[place] }
    let types = attribution.types
    return zip(objects, chunks).map { ($0.name, types[Int($1.held)], $1) }
  }

  /// The files that a process has mapped, with the memory that the loader has appended to them.
  static func binaries(of pid: Int32) throws -> [MappedBinary] {
    let text = try contents(ofFile: "/proc/\(pid)/maps")
    var binaries: [MappedBinary] = []
    var end: RemoteAddress?
    for mapping in MapsParser.parse(text.span) where mapping.isReadable {
      let isFile = mapping.inode != 0 && mapping.name.hasPrefix("/")
      let follows =
        !binaries.isEmpty && mapping.range.lowerBound == end && mapping.name.isEmpty
      guard isFile || follows else { continue }
      end = mapping.range.upperBound
      let part = MappedBinary.Part(
        range: mapping.range, fileOffset: mapping.fileOffset,
        isExecutable: mapping.isExecutable, isWritable: mapping.isWritable)
      if let last = binaries.indices.last, follows || binaries[last].path == mapping.name {
        binaries[last].parts.append(part)
      } else {
        binaries.append(MappedBinary(path: mapping.name, parts: [part]))
      }
    }
    return binaries
  }
}

/// No symbols, and no names but those that stand in memory.
final class NoSymbols: SymbolLookup {
  func symbol(at address: RemoteAddress) -> NamedSymbol? { nil }
  func demangled(_ name: String) -> String? { nil }
  func layout(of name: String, in binary: String) -> TypeLayout? { nil }
}

/// The symbols of one program, by nm(1).
final class ProgramSymbols: SymbolLookup {
  private var symbols: [NamedSymbol] = []

  /// Reads the symbols of the binary at `path`, the first of whose parts is at `base`.
  init(_ path: String, base: UInt64) throws {
    let run = try ToolRun(
      executable: try installedProgram("nm"), ["-nS", "--defined-only", path])
    for line in run.output.split(separator: "\n") {
      let fields = line.split(separator: " ", maxSplits: 3)
      guard fields.count == 4, let start = UInt64(fields[0], radix: 16),
        let count = UInt64(fields[1], radix: 16)
      else { continue }
      symbols.append(
        NamedSymbol(
          linkerName: String(fields[3]), name: String(fields[3]),
          kind: "tTwW".contains(fields[2]) ? .function : .data,
          start: RemoteAddress(base &+ start), byteCount: count, binary: path))
    }
  }

  func symbol(at address: RemoteAddress) -> NamedSymbol? {
    symbols.last { $0.start <= address && address.bits < $0.start.bits &+ $0.byteCount }
  }
  func demangled(_ name: String) -> String? { nil }
  func layout(of name: String, in binary: String) -> TypeLayout? { nil }
}
