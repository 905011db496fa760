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
  /// The most parts of a C++ name that are looked through for an expansion, each as often as references can
  /// lead to it: about 20 ms.
  private static let expansionLimit = 1 << 24
  /// The most lists of arguments behind parameters in a C++ name with a conversion; real ones have one.
  private static let argumentsLimit = 8

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
    let name = String(Substring(name.utf8.unversioned))
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
  /// In two cases it goes every way that there is, and each part of a name can double their number. What an
  /// expansion of a pack expands is looked for through all references to other parts: a name of 217 bytes took
  /// hours. Real names expand a parameter itself. And arguments behind a parameter in the type of a conversion
  /// can belong to either, for which they are read twice: 126 bytes took half a minute.
  private static func isQuick(_ name: String) -> Bool {
    let name = Array(name.utf8)
    var references = 0
    var arguments = 0
    var hasExpansion = false
    var hasConversion = false
    for place in name.indices {
      let rest = name[place...]
      switch name[place] {
      case UInt8(ascii: "S"):
        if Self.rest(of: rest, behind: UInt8(ascii: "S")) != nil { references += 1 }
      case UInt8(ascii: "T"):
        let behind = Self.rest(of: rest, behind: UInt8(ascii: "T"))
        if behind?.first == UInt8(ascii: "I") { arguments += 1 }
      case UInt8(ascii: "c"):
        if rest.starts(with: "cv".utf8) { hasConversion = true }
      case UInt8(ascii: "D"), UInt8(ascii: "s"):
        guard ["Dp", "sp", "sZ", "sP"].contains(where: { rest.starts(with: $0.utf8) }) else {
          break
        }
        let expanded = rest.dropFirst(2).drop { "ORKPV".utf8.contains($0) }
        let behind = Self.rest(of: expanded, behind: UInt8(ascii: "T"))
        if behind == nil || behind?.first == UInt8(ascii: "I") { hasExpansion = true }
      default:
        break
      }
    }
    return (!hasExpansion || name.count <= expansionLimit >> references)
      && (!hasConversion || arguments <= argumentsLimit)
  }

  /// What is behind a reference to a part (`S_`, `S0_`) or a parameter (`T_`, `T0_`) at the beginning of
  /// `name`, nil if there is none.
  private static func rest(
    of name: ArraySlice<UInt8>, behind letter: UInt8
  ) -> ArraySlice<UInt8>? {
    guard name.first == letter else { return nil }
    let rest = name.dropFirst().drop {
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
    }
    return rest.first == UInt8(ascii: "_") ? rest.dropFirst() : nil
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
