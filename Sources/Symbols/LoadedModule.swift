// The mappings of one loaded file, put together again.

package import HeapModel

/// A file as loaded into the target once: a library that is loaded twice is two modules.
package struct LoadedModule: Hashable, Sendable {
  /// The file's name in the maps.
  package let name: String
  /// Its mappings, ascending in address and in file offset; never empty.
  package let mappings: [MemoryMapping]
  /// Its lowest mapping.
  package let base: MemoryMapping

  /// Which file a mapping belongs to.
  struct FileIdentity: Hashable {
    var major: UInt32
    var minor: UInt32
    var inode: UInt64
    var name: String

    init(_ mapping: MemoryMapping) {
      major = mapping.deviceMajor
      minor = mapping.deviceMinor
      inode = mapping.inode
      name = mapping.name
    }
  }

  /// Which file it is.
  var file: FileIdentity { FileIdentity(base) }

  private init(_ first: MemoryMapping, _ rest: some Sequence<MemoryMapping>) {
    name = first.name
    base = first
    mappings = [first] + rest
  }

  /// The part of the name after the last slash.
  package var fileName: Substring {
    name.suffix(from: name.lastIndex(of: "/").map(name.index(after:)) ?? name.startIndex)
  }

  /// The ranges that may be executed.
  package var executableRanges: [AddressRange] {
    mappings.filter(\.isExecutable).map(\.range)
  }

  /// What is added to the ELF virtual addresses of `image`, this module's file, to get addresses.
  ///
  /// It is 0 for a file that is loaded where it states. Nil if no segment of the file begins in the
  /// page where the lowest mapping begins.
  package func loadBias(of image: ELFImage) -> UInt64? {
    image.isPositionDependent ? 0 : loadBias(of: image.segments)
  }

  /// The same from the file's loaded segments, ascending, unless it is loaded where it states.
  func loadBias(of segments: [ELFImage.Segment]) -> UInt64? {
    let offset = base.fileOffset
    // The loader maps whole pages: a mapping may begin up to a page before its segment does.
    let first = segments.first { segment in
      segment.fileSize > 0 && segment.fileOffset & ~(Self.largestPage - 1) <= offset
        && offset < segment.fileOffset &+ segment.fileSize
    }
    guard let first else { return nil }
    let bias = base.range.lowerBound.bits &- offset &+ first.fileOffset &- first.virtualAddress
    return bias % Self.smallestPage == 0 ? bias : nil
  }

  /// Pages are at least this large on every supported machine, and a multiple of it.
  private static let smallestPage: UInt64 = 4096
  /// The largest page that they have (aarch64).
  private static let largestPage: UInt64 = 65_536

  /// Those of `modules` that are the rest of this one.
  ///
  /// Where constants and data are mapped from the same page of a file, the latter look like the beginning of
  /// another copy of it; but that begins with the file's first page.
  func continuations(among modules: [LoadedModule]) -> [LoadedModule] {
    Array(
      modules.filter {
        $0.file == file && $0.base.range.lowerBound > base.range.lowerBound
      }.prefix { $0.base.fileOffset != 0 })
  }

  /// All of `modules`, ascending, each with its `continuations`.
  static func joined(_ modules: [LoadedModule]) -> [LoadedModule] {
    var groups: [[LoadedModule]] = []
    var openGroups: [FileIdentity: Int] = [:]
    for module in modules {
      if module.base.fileOffset != 0, let group = openGroups[module.file] {
        groups[group].append(module)
      } else {
        openGroups[module.file] = groups.count
        groups.append([module])
      }
    }
    return groups.map { $0[0].joined(with: Array($0.dropFirst())) }
  }

  /// This one and its `continuations`.
  func joined(with continuations: [LoadedModule]) -> LoadedModule {
    LoadedModule(base, mappings.dropFirst() + continuations.flatMap(\.mappings))
  }

  /// Groups the mappings of files into modules, ascending by address.
  ///
  /// A file's next mapping continues its module if it lies further on in the file. One that does
  /// not begins another copy of the file, as `dlmopen` loads, except that the data of a file
  /// smaller than a page is mapped from the same page as its code. What the loader leaves between
  /// segments that are further apart than a page, inaccessible, says nothing: its offset may be that of
  /// the next one, or beyond it.
  package static func modules(in mappings: [MemoryMapping]) -> [LoadedModule] {
    var groups: [[MemoryMapping]] = []
    var openGroups: [FileIdentity: Int] = [:]
    let ascending = mappings.sorted { $0.range.lowerBound < $1.range.lowerBound }
    for mapping in ascending where mapping.inode != 0 && !mapping.isShared {
      let key = FileIdentity(mapping)
      if let group = openGroups[key], let last = groups[group].last(where: \.isAccessible),
        !mapping.isAccessible || continues(last, with: mapping)
      {
        groups[group].append(mapping)
      } else {
        openGroups[key] = groups.count
        groups.append([mapping])
      }
    }
    return groups.compactMap { group in
      group.first.map { LoadedModule($0, group.dropFirst()) }
    }
  }

  /// Whether `next`, further up, can be of the same copy of a file as `last`.
  private static func continues(_ last: MemoryMapping, with next: MemoryMapping) -> Bool {
    next.fileOffset > last.fileOffset
      || next.fileOffset == last.fileOffset && last.isExecutable && !next.isExecutable
  }
}

extension MemoryMapping {
  /// Whether the program may do anything with it.
  fileprivate var isAccessible: Bool { isReadable || isWritable || isExecutable }
}
