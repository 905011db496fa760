// Searching the loaded bytes of a file for text: glibc's banner, and its messages.

import CElfutils
import Glibc

extension ELFFile {
  /// How much is read at once, and how much of it is searched again with what follows.
  private static var windowSize: Int { 256 << 10 }
  private static var overlap: Int { 512 }
  /// The most bytes that are searched.
  private static var searchLimit: UInt64 { 64 << 20 }

  /// The version in glibc's banner ("2.36"), nil if the loaded bytes hold no banner.
  func glibcBanner() -> String? {
    firstMatch(of: "GNU C Library ") { Self.version(inBanner: $0) }
  }

  /// Whether the loaded bytes hold `text`.
  func contains(_ text: String) -> Bool {
    firstMatch(of: text) { _ in true } ?? false
  }

  /// What `read` makes of the bytes from the first place on that holds `text` and that it accepts.
  ///
  /// Constants come first: segments that can neither be executed nor written; then code, because old
  /// linkers put constants beside it; then what can be written, because a linker that finds one
  /// writable section among those for constants (as in static programs of Swift) puts all there.
  private func firstMatch<Result>(
    of text: String, _ read: (ArraySlice<UInt8>) -> Result?
  ) -> Result? {
    let constants = loads.filter { !$0.has(UInt32(PF_W)) && !$0.has(UInt32(PF_X)) }
    let code = loads.filter { !$0.has(UInt32(PF_W)) && $0.has(UInt32(PF_X)) }
    let variables = loads.filter { $0.has(UInt32(PF_W)) }
    var left = Self.searchLimit
    for segments in [constants, code, variables] {
      for segment in segments {
        guard let range = segment.file.dropping(0, limit: left) else { continue }
        if let result = firstMatch(of: Array(text.utf8), in: range, read) { return result }
        left -= range.byteCount
      }
    }
    return nil
  }

  private func firstMatch<Result>(
    of text: [UInt8], in range: FileRange, _ read: (ArraySlice<UInt8>) -> Result?
  ) -> Result? {
    var start: UInt64 = 0
    while start < range.byteCount {
      var window = [UInt8](
        repeating: 0, count: Int(min(UInt64(Self.windowSize), range.byteCount - start)))
      let filled = handle.read(at: range.offset &+ start, into: &window)
      window.removeLast(window.count - filled)
      var place = 0
      while let match = Self.firstIndex(of: text, in: window, from: place) {
        if let result = read(window[match..<min(window.count, match + Self.overlap)]) {
          return result
        }
        place = match + 1
      }
      guard filled == Self.windowSize else { return nil }
      start += UInt64(Self.windowSize - Self.overlap)
    }
    return nil
  }

  private static func firstIndex(of text: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
    guard let first = text.first else { return nil }
    var place = start
    while place + text.count <= bytes.count {
      let found = unsafe bytes.withUnsafeBytes { buffer -> Int? in
        guard let base = buffer.baseAddress else { return nil }
        let hit = unsafe memchr(base + place, Int32(first), buffer.count - place)
        return unsafe hit.map { unsafe UnsafeRawPointer($0) - base }
      }
      guard let found, found + text.count <= bytes.count else { return nil }
      if bytes[found..<found + text.count].elementsEqual(text) { return found }
      place = found + 1
    }
    return nil
  }

  /// The numbers after the word "version" in a banner.
  ///
  /// Debian's reads `GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.`
  private static func version(inBanner bytes: ArraySlice<UInt8>) -> String? {
    let text = Array(bytes.prefix { $0 != 0 && $0 != 10 })
    guard let word = firstIndex(of: Array("version ".utf8), in: text, from: 0) else { return nil }
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    let dot = UInt8(ascii: ".")
    var version = text[(word + 8)...].prefix { digits.contains($0) || $0 == dot }
    while version.last == dot { version.removeLast() }
    guard version.contains(dot) else { return nil }
    return String(decoding: version, as: UTF8.self)
  }
}
