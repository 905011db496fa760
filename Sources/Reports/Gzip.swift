// Compression as viewers of profiles expect it.

import CZlib

/// Bytes in the gzip format.
enum Gzip {
  /// The flag that has zlib write gzip's header and trailer, without a name or a time.
  private static let gzipFormat: Int32 = 16

  /// `bytes` as one gzip file.
  ///
  /// As with arrays, there is no going on without memory.
  static func compressed(_ bytes: [UInt8]) -> [UInt8] {
    // zlib keeps the address of a stream in it, so that it must not move.
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    defer { stream.deallocate() }
    let status = deflateInit2_(
      stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + gzipFormat, 8, Z_DEFAULT_STRATEGY,
      ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    precondition(status == Z_OK, "zlib has no memory, or is another version")
    defer { deflateEnd(stream) }
    var source = bytes
    return source.withUnsafeMutableBufferPointer { write(all: $0, through: stream) }
  }

  private static func write(
    all source: UnsafeMutableBufferPointer<UInt8>, through stream: UnsafeMutablePointer<z_stream>
  ) -> [UInt8] {
    var result: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    var given = 0
    var status = Z_OK
    while status == Z_OK || status == Z_BUF_ERROR {
      if stream.pointee.avail_in == 0 {
        // Its counters have 32 bits.
        let next = min(source.count - given, 1 << 30)
        stream.pointee.next_in = source.baseAddress.map { $0 + given }
        stream.pointee.avail_in = UInt32(next)
        given += next
      }
      let written = piece.withUnsafeMutableBufferPointer { buffer in
        stream.pointee.next_out = buffer.baseAddress
        stream.pointee.avail_out = UInt32(buffer.count)
        status = deflate(stream, given == source.count ? Z_FINISH : Z_NO_FLUSH)
        return buffer.count - Int(stream.pointee.avail_out)
      }
      result += piece[..<written]
    }
    return result
  }
}
