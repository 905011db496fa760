// The text of /proc/PID/maps. It is parsed while the target is stopped, so it works on bytes and
// makes one string for neighbouring mappings of the same file.

package import HeapModel

/// The parser of `/proc/PID/maps`.
package enum MapsParser {
  /// Reads all mappings; a line that is not one is left out.
  package static func parse(_ text: Span<UInt8>) -> [MemoryMapping] {
    var cursor = ByteCursor(text)
    var mappings: [MemoryMapping] = []
    // A line without a name has 50 bytes, most have more.
    mappings.reserveCapacity(text.count / 64 + 1)
    var previous = Name(range: 0..<0, text: "", isDeleted: false)
    while !cursor.isAtEnd {
      let fields = parseFields(&cursor)
      let nameRange = cursor.takeLine()
      guard var mapping = fields else { continue }
      if !cursor.areEqual(nameRange, previous.range) {
        previous = name(in: nameRange, of: cursor)
      }
      mapping.name = previous.text
      mapping.isDeleted = previous.isDeleted
      mappings.append(mapping)
    }
    return mappings
  }

  /// A name as it stands in the text and as it is.
  private struct Name {
    var range: Range<Int>
    var text: String
    var isDeleted: Bool
  }

  /// Reads a line up to its name, nil if it is malformed.
  private static func parseFields(_ cursor: inout ByteCursor) -> MemoryMapping? {
    guard let start = cursor.takeHexadecimal(), cursor.skip(UInt8(ascii: "-")),
      let end = cursor.takeHexadecimal(), cursor.skip(UInt8(ascii: " ")), start < end,
      let readable = flag(&cursor, UInt8(ascii: "r")),
      let writable = flag(&cursor, UInt8(ascii: "w")),
      let executable = flag(&cursor, UInt8(ascii: "x")),
      let sharing = cursor.take(), sharing == UInt8(ascii: "p") || sharing == UInt8(ascii: "s"),
      cursor.skip(UInt8(ascii: " ")),
      let offset = cursor.takeHexadecimal(), cursor.skip(UInt8(ascii: " ")),
      let major = cursor.takeHexadecimal(), cursor.skip(UInt8(ascii: ":")),
      let minor = cursor.takeHexadecimal(), cursor.skip(UInt8(ascii: " ")),
      let inode = cursor.takeDecimal(),
      let deviceMajor = UInt32(exactly: major), let deviceMinor = UInt32(exactly: minor),
      cursor.isAtEnd || cursor.next == UInt8(ascii: " ") || cursor.next == UInt8(ascii: "\n")
    else { return nil }
    cursor.skipAll(UInt8(ascii: " "))
    return MemoryMapping(
      range: AddressRange(RemoteAddress(start), RemoteAddress(end)), isReadable: readable,
      isWritable: writable, isExecutable: executable, isShared: sharing == UInt8(ascii: "s"),
      fileOffset: offset, deviceMajor: deviceMajor, deviceMinor: deviceMinor, inode: inode,
      name: "", isDeleted: false)
  }

  private static func flag(_ cursor: inout ByteCursor, _ letter: UInt8) -> Bool? {
    switch cursor.take() {
    case letter: true
    case UInt8(ascii: "-"): false
    default: nil
    }
  }

  private static func name(in range: Range<Int>, of cursor: borrowing ByteCursor) -> Name {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(range.count)
    var place = range.lowerBound
    while place < range.upperBound {
      // The kernel writes a line end in a path as \012 and nothing else in this way, not even the
      // backslash (measured), so a file called a\040b stands there as it is.
      if place + 4 <= range.upperBound, cursor[place] == UInt8(ascii: "\\"),
        cursor[place + 1] == UInt8(ascii: "0"), cursor[place + 2] == UInt8(ascii: "1"),
        cursor[place + 3] == UInt8(ascii: "2")
      {
        bytes.append(UInt8(ascii: "\n"))
        place += 4
      } else {
        bytes.append(cursor[place])
        place += 1
      }
    }
    let mark = " (deleted)".utf8
    let isDeleted = bytes.first == UInt8(ascii: "/") && bytes.suffix(mark.count).elementsEqual(mark)
    if isDeleted { bytes.removeLast(mark.count) }
    return Name(
      range: range, text: String(decoding: bytes, as: UTF8.self), isDeleted: isDeleted)
  }
}
