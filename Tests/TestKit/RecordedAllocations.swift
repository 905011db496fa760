// The truth about a process's allocations, as the preloaded recorder keeps it.

import Glibc
package import HeapModel

/// A copy of the recorder's table.
package struct RecordedAllocations: Sendable {
  /// The usable size of every live allocation by its address.
  package let live: [RemoteAddress: UInt64]
  /// The process that recorded.
  package let pid: Int32
  /// Grows by 2 with every change of the table.
  package let sequence: UInt64
  /// How often the process freed what the recorder had not seen it allocate.
  package let unknownFrees: UInt64

  private static let headerByteCount = 4096

  /// Copies the table from the file at `path`.
  ///
  /// The process must be stopped or quiescent.
  ///
  /// - Throws: `TestKitError.malformed` if the file is no table, if the table overflowed, or if it
  ///   was being changed.
  package init(path: String) throws(TestKitError) {
    let bytes = try contents(ofFile: path)
    let header = try Self.header(bytes, path)
    guard header.lost == 0 else {
      throw .malformed(what: "a table that overflowed", text: "\(path): \(header.lost) lost")
    }
    let after = try Self.header(Self.start(of: path), path)
    guard header.sequence % 2 == 0, header.sequence == after.sequence else {
      throw .malformed(
        what: "a table in the middle of a change", text: "\(path): \(header.sequence)")
    }
    var live: [RemoteAddress: UInt64] = [:]
    live.reserveCapacity(Int(clamping: header.live))
    bytes.withUnsafeBytes { buffer in
      for offset in stride(from: Self.headerByteCount, to: buffer.count - 15, by: 16) {
        let address = buffer.load(fromByteOffset: offset, as: UInt64.self)
        if address != 0 {
          live[RemoteAddress(address)] = buffer.load(fromByteOffset: offset + 8, as: UInt64.self)
        }
      }
    }
    guard live.count == header.live else {
      throw .malformed(
        what: "a table with \(live.count) entries", text: "\(path) says \(header.live)")
    }
    self.live = live
    pid = header.pid
    sequence = header.sequence
    unknownFrees = header.unknownFrees
  }

  /// The sequence number now, to see whether anything changes; nil if there is no table yet.
  package static func sequence(path: String) -> UInt64? {
    guard let bytes = try? start(of: path) else { return nil }
    return try? header(bytes, path).sequence
  }

  private struct Header {
    var pid: Int32
    var sequence: UInt64
    var live: UInt64
    var lost: UInt64
    var unknownFrees: UInt64
  }

  private static func header(
    _ bytes: [UInt8], _ path: String
  ) throws(TestKitError) -> Header {
    guard bytes.count >= headerByteCount, bytes.starts(with: "MSRECORD".utf8) else {
      throw .malformed(what: "a recorder's table", text: path)
    }
    return bytes.withUnsafeBytes { buffer in
      Header(
        pid: buffer.load(fromByteOffset: 12, as: Int32.self),
        sequence: buffer.load(fromByteOffset: 24, as: UInt64.self),
        live: buffer.load(fromByteOffset: 32, as: UInt64.self),
        lost: buffer.load(fromByteOffset: 40, as: UInt64.self),
        unknownFrees: buffer.load(fromByteOffset: 48, as: UInt64.self))
    }
  }

  private static func start(of path: String) throws(TestKitError) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .system(call: "open", subject: path, errno: errno) }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: headerByteCount)
    let count = pread(file, &bytes, bytes.count, 0)
    return Array(bytes.prefix(max(0, count)))
  }
}
