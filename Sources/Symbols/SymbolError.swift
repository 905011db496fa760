// What can go wrong while the target's files are found and read.

/// Why a file of the target told us nothing.
package enum SymbolError: Error, Hashable, Sendable {
  /// No way to the file behind a mapping led to that file; every way that was tried is listed.
  case noWayToFile(name: String, attempts: [OpenAttempt])
  /// The file is not an ELF file.
  case notELF(path: String)
  /// The file is an ELF file of a kind that is not read here.
  case unsupported(path: String, what: Unsupported)
  /// The file contradicts itself: `value` is what `part` states.
  case malformed(path: String, part: ELFPart, value: UInt64)
  /// Bytes within the file could not be read, for the reason that libelf states.
  case cannotRead(path: String, offset: UInt64, byteCount: UInt64, reason: String)
  /// The file was read, but not where the target has loaded it: no mapping matches its segments.
  case noLoadBias(path: String)
  /// A debug file that belongs to another build of the library than the one that is mapped.
  case otherBuild(path: String, buildID: [UInt8])
  /// A debug file names none of malloc's variables.
  case noSymbols(path: String)
  /// What a debug file says of malloc's structures could not be read.
  case noTypes(path: String, reason: NoTypes)

  /// Why no types could be read.
  package enum NoTypes: Hashable, Sendable {
    /// libdw finds none, for the reason that it states.
    case unreadable(String)
    /// It would be larger than what is read, in bytes.
    case tooLarge(UInt64)
    /// No unit of it is that of malloc.
    case noUnit
    /// malloc's unit has none of the structures that are looked for.
    case noStructure
    /// They may be in another file, which was not found.
    case inMissingFile(String)
  }

  /// A property of an ELF file that is not read here.
  package enum Unsupported: Hashable, Sendable {
    /// Its class (32-bit is 1).
    case elfClass(UInt8)
    /// Its byte order (big endian is 2).
    case byteOrder(UInt8)
    /// Its machine number.
    case machine(UInt16)
    /// Its type, neither executable nor shared object.
    case type(UInt16)
  }

  /// A part of an ELF file.
  package enum ELFPart: String, Hashable, Sendable {
    /// The number or place of its program headers.
    case programHeaders = "program headers"
    /// The number of its section headers.
    case sectionHeaders = "section headers"
    /// The place or size of a segment.
    case segment
    /// An address in its dynamic section.
    case dynamicSection = "dynamic section"
    /// The size of a table.
    case table
    /// A relocation table.
    case relocations
    /// The hash table of its dynamic symbols.
    case symbolHash = "symbol hash table"
  }
}

/// One way to a file, and what it led to.
package struct OpenAttempt: Hashable, Sendable {
  /// What was found at the path.
  package enum Outcome: Hashable, Sendable {
    /// The kernel refused, with this errno.
    case refused(errno: Int32)
    /// Something that is no regular file.
    case notRegular
    /// A file that is not the mapped one.
    case otherFile(deviceMajor: UInt32, deviceMinor: UInt32, inode: UInt64)
    /// Such a file, whose build id is not that of the library that is loaded; empty if it has none.
    case otherBuild(expected: [UInt8], found: [UInt8])
  }

  /// The path that was tried.
  package var path: String
  /// What was found there.
  package var outcome: Outcome

  /// Makes an attempt.
  package init(path: String, outcome: Outcome) {
    self.path = path
    self.outcome = outcome
  }
}

extension SymbolError: CustomStringConvertible {
  /// One line of fact: what was attempted, on what, and what was observed.
  package var description: String {
    switch self {
    case .noWayToFile(let name, let attempts):
      let tried = attempts.map(\.description).joined(separator: "; ")
      return "cannot open the file mapped as \(name)" + (tried.isEmpty ? "" : ": \(tried)")
    case .notELF(let path):
      return "\(path) is not an ELF file"
    case .unsupported(let path, let what):
      return "\(path) is an ELF file with \(what.text), expected 64-bit little-endian "
        + "x86-64 or aarch64 code"
    case .malformed(let path, let part, let value):
      return "\(path) contradicts itself: \(part.rawValue) state 0x\(String(value, radix: 16))"
    case .cannotRead(let path, let offset, let byteCount, let reason):
      return "cannot read \(byteCount) bytes at offset \(offset) of \(path): \(reason)"
    case .otherBuild(let path, let buildID):
      return "\(path) belongs to another build: its build id is "
        + (buildID.isEmpty ? "missing" : BuildID.text(buildID))
    case .noSymbols(let path):
      return "\(path) names none of malloc's variables"
    case .noTypes(let path, let reason):
      return "\(path) has no debug information about malloc that could be read: \(reason.text)"
    case .noLoadBias(let path):
      return "no mapping of \(path) begins where one of the file's segments does"
    }
  }
}

extension SymbolError.Unsupported {
  fileprivate var text: String {
    switch self {
    case .elfClass(let value): "class \(value)"
    case .byteOrder(let value): "byte order \(value)"
    case .machine(let value): "machine \(value)"
    case .type(let value): "type \(value)"
    }
  }
}

extension SymbolError.NoTypes {
  fileprivate var text: String {
    switch self {
    case .unreadable(let reason): reason
    case .tooLarge(let byteCount): "it takes \(byteCount) bytes"
    case .noUnit: "no unit of it is malloc's"
    case .noStructure: "malloc's structures are not in it"
    case .inMissingFile(let name): "it refers to \(name), which was not found"
    }
  }
}

extension OpenAttempt: CustomStringConvertible {
  /// The path and what was found there.
  package var description: String {
    switch outcome {
    case .refused(let errno): "\(path): errno \(errno)"
    case .notRegular: "\(path): not a regular file"
    case .otherFile(let major, let minor, let inode):
      "\(path): another file (device \(major):\(minor), inode \(inode))"
    case .otherBuild(let expected, let found):
      "\(path): symbol file has another build id than the running library "
        + "(expected \(Self.text(expected)), found \(Self.text(found))): ignored"
    }
  }

  private static func text(_ buildID: [UInt8]) -> String {
    buildID.isEmpty ? "none" : BuildID.text(buildID)
  }
}
