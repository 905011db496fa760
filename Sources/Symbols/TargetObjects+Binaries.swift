// The loaded files with all of their memory: what the loader has appended for zeros, too.

import CElfutils
import HeapModel
import LinuxTarget

extension TargetObjects {
  /// The most mappings that one segment's zeros are taken from: a program has them split in a few.
  private static var zeroMappingLimit: Int { 64 }

  /// The programs and libraries among the loaded files, ascending by address; `mappings` are all of the
  /// process.
  func binaries(_ mappings: [MemoryMapping]) -> [(module: LoadedModule, binary: MappedBinary)] {
    let read = memory.reader()
    let anonymous = mappings.filter(\.isPrivateAnonymous)
      .sorted { $0.range.lowerBound < $1.range.lowerBound }
    var found: [(module: LoadedModule, binary: MappedBinary)] = []
    for module in LoadedModule.joined(modules) {
      // One mapping that cannot be executed is a file that the program reads.
      guard module.mappings.count > 1 || !module.executableRanges.isEmpty else { continue }
      var binary = MappedBinary(
        path: module.name,
        parts: module.mappings.map {
          MappedBinary.Part(
            range: $0.range, fileOffset: $0.fileOffset, isExecutable: $0.isExecutable,
            isWritable: $0.isWritable)
        })
      do throws(SymbolError) {
        // Its first page is in memory nearly always, and one descriptor reads that of all files.
        let inMemory = MappedFile(module, read: read)
        do throws(SymbolError) {
          try complete(&binary, by: try ELFFile(inMemory, of: module), module, anonymous)
        } catch {
          if case .notELF = error { throw error }
          try complete(&binary, by: try open(module), module, anonymous)
        }
      } catch .notELF {
        continue
      } catch {
        // What the maps tell is known.
      }
      found.append((module, binary))
    }
    return found
  }

  private func complete(
    _ binary: inout MappedBinary, by file: borrowing ELFFile, _ module: LoadedModule,
    _ anonymous: [MemoryMapping]
  ) throws(SymbolError) {
    binary.buildID = file.buildID
    let bias = try file.loadBias(of: module)
    for segment in file.loads where segment.memorySize > segment.file.byteCount {
      let start = RemoteAddress(segment.virtualAddress &+ segment.file.byteCount &+ bias)
      let end = RemoteAddress(segment.virtualAddress &+ segment.memorySize &+ bias)
      guard start < end else { continue }
      addZeros(AddressRange(start, end), segment, to: &binary, anonymous)
    }
    binary.parts.sort { $0.range.lowerBound < $1.range.lowerBound }
  }

  /// Adds what of `zeros` lies in memory that is no file's and follows without a gap: in mappings of
  /// `anonymous`, ascending.
  private func addZeros(
    _ zeros: AddressRange, _ segment: ELFFile.ProgramHeader, to binary: inout MappedBinary,
    _ anonymous: [MemoryMapping]
  ) {
    let first = anonymous.partitionPoint(before: { $0.range.upperBound <= zeros.lowerBound })
    var end: RemoteAddress?
    var last: Int?
    for mapping in anonymous[first...].prefix(Self.zeroMappingLimit) {
      guard mapping.range.overlaps(zeros), end == nil || end == mapping.range.lowerBound else {
        break
      }
      end = mapping.range.upperBound
      let range = AddressRange(
        max(zeros.lowerBound, mapping.range.lowerBound),
        min(zeros.upperBound, mapping.range.upperBound))
      if last == nil {
        // The first one continues what the file has of the segment, if it has any of it.
        last = binary.parts.lastIndex { $0.range.upperBound == range.lowerBound }
        guard last != nil || range.lowerBound == zeros.lowerBound else { break }
      }
      if let last, binary.parts[last].isWritable == mapping.isWritable {
        let part = binary.parts[last].range
        binary.parts[last].range = AddressRange(part.lowerBound, range.upperBound)
      } else {
        let offset = segment.file.offset &+ segment.file.byteCount
        binary.parts.append(
          MappedBinary.Part(
            range: range, fileOffset: offset, isExecutable: mapping.isExecutable,
            isWritable: mapping.isWritable))
        last = binary.parts.indices.last
      }
    }
  }
}
