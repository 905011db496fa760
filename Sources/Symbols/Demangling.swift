// From the linker's name of something to the source's, by each language's own demangler.

import CDemangle
import Glibc

/// Names as the source has them.
///
/// A name of a few hundred bytes can stand for one that would fill the memory: what is too long, before or
/// after, is not demangled.
package enum Demangling {
  /// The longest name that is demangled, in bytes.
  private static let nameLimit = 4096
  /// The longest result, in bytes.
  private static let resultLimit = 1 << 16

  /// The source's name for the linker's name of something, or for the encoding of a C++ type as type
  /// information has it; nil if it is none that is known.
  ///
  /// A type's encoding can be any short word: `i` stands for `int`.
  package static func name(_ name: String) -> String? {
    symbol(name) ?? type(name)
  }

  /// The source's name for a linker's name of C++, Swift or Rust.
  package static func symbol(_ name: String) -> String? {
    guard name.utf8.count <= nameLimit else { return nil }
    let name = unversioned(name)
    if name.hasPrefix("_Z") {
      // The first of Rust's encodings is C++'s, with a hash at the end.
      guard isQuick(name) else { return nil }
      return unsafe run(name, cdm_rust) ?? run(name, cdm_cxx)
    }
    if name.hasPrefix("_R") { return unsafe run(name, cdm_rust) }
    if name.hasPrefix("_GLOBAL_") { return isQuick(name) ? unsafe run(name, cdm_cxx) : nil }
    return swift(name)
  }

  /// The source's name for the encoding of a C++ type, such as `N3app7SessionE`; a star in front, as type
  /// information of one file alone has it, is no part of it.
  package static func type(_ encoding: String) -> String? {
    let encoding = encoding.hasPrefix("*") ? String(encoding.dropFirst()) : encoding
    guard encoding.utf8.count <= nameLimit, !encoding.hasPrefix("_"), isQuick(encoding)
    else { return nil }
    return unsafe run(encoding, cdm_cxx)
  }

  /// Whether the C++ demangler comes to an end soon.
  ///
  /// It looks for what an expansion of a pack expands along every way to it, and each reference to an earlier
  /// part can double the ways: a name of 217 bytes took hours. Real names expand a parameter itself.
  private static func isQuick(_ name: String) -> Bool {
    let bytes = Array(name.utf8)
    let expansions = ["Dp", "sp", "sZ", "sP"].map { Array($0.utf8) }
    for start in bytes.indices.dropLast() where expansions.contains(Array(bytes[start...start + 1]))
    {
      let rest = bytes[(start + 2)...].drop { "ORKPV".utf8.contains($0) }
      if rest.first == UInt8(ascii: "T") { continue }
      if rest.count(where: { $0 == UInt8(ascii: "S") }) > 18 { return false }
    }
    return true
  }

  /// The name without the version that the linker puts behind it (`malloc@@GLIBC_2.2.5`).
  private static func unversioned(_ name: String) -> String {
    guard let end = name.utf8.dropFirst().firstIndex(of: UInt8(ascii: "@")) else { return name }
    return String(name[..<end])
  }

  private static func run(
    _ name: String, _ demangle: (UnsafePointer<CChar>, UnsafeMutablePointer<CChar>, Int) -> Int64
  ) -> String? {
    unsafe result(of: name) { name, buffer in
      guard let start = buffer.baseAddress else { return nil }
      let count = unsafe demangle(name, start, buffer.count)
      return count > 0 ? Int(count) : nil
    }
  }

  private static func swift(_ name: String) -> String? {
    guard SwiftNameBound.isSwift(name.utf8), SwiftNameBound(name.utf8).isSmall else { return nil }
    let demangled = unsafe result(of: name) { name, buffer in
      var size = buffer.count
      guard let start = buffer.baseAddress,
        unsafe swift_demangle(name, strlen(name), start, &size, 0) != nil
      else { return nil }
      let count = unsafe strnlen(start, buffer.count)
      // One that fills the buffer was cut off.
      return (1..<buffer.count - 1).contains(count) ? count : nil
    }
    return demangled == name ? nil : demangled
  }

  /// The text that `fill` writes, and of which it returns the length.
  private static func result(
    of name: String,
    _ fill: (UnsafePointer<CChar>, UnsafeMutableBufferPointer<CChar>) -> Int?
  ) -> String? {
    unsafe name.withCString { name in
      unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: resultLimit) { buffer in
        guard let count = unsafe fill(name, buffer) else { return nil }
        return unsafe String(
          decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]),
          as: UTF8.self)
      }
    }
  }
}
