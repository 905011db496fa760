// Names demangled as other tools demangle them, and names that are made to do harm.

import Glibc
import HeapModel
import TestKit
import Testing

@testable import Symbols

@Suite("Names are demangled as each language's own tool does it")
struct DemanglingTests {
  /// What a tool makes of names, one a line.
  private static func oracle(_ command: String, _ names: [String]) throws -> [String] {
    let directory = try TestKit.TemporaryDirectory()
    try write(names.joined(separator: "\n") + "\n", toFile: directory.file("names"))
    return try run(["sh", "-c", "\(command) <'\(directory.file("names"))'"])
      .split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
  }

  /// The names that a library exports and that begin with `prefix`.
  private static func exports(_ library: String, _ prefix: String) throws -> [String] {
    let listing = String(
      decoding: try contents(of: "/proc/self/maps"), as: UTF8.self)
    let line = try #require(listing.split(separator: "\n").first { $0.contains("/\(library)") })
    let path = try #require(line.split(separator: " ").last.map(String.init))
    return try run(["nm", "-D", "--defined-only", path]).split(separator: "\n")
      .compactMap { line in
        let name = line.split(separator: " ").last ?? ""
        return name.hasPrefix(prefix) ? String(name.prefix { $0 != "@" }) : nil
      }
  }

  /// Names that are not demangled as a tool does it, and how many are not demangled at all.
  private static func mismatches(
    _ command: String, _ names: [String]
  ) throws -> (wrong: [String], missing: Int) {
    var result = (wrong: [String](), missing: 0)
    for (name, expected) in zip(names, try oracle(command, names)) {
      let found = Demangling.symbol(name)
      if found == nil { result.missing += 1 }
      if let found, found != expected { result.wrong.append("\(name): \(found), not \(expected)") }
    }
    return result
  }

  @Test("every name that the C++ runtime exports, as c++filt has it")
  func cxx() throws {
    let names = try Self.exports("libstdc++.so.6", "_Z")
    #expect(names.count > 3000)
    let (wrong, missing) = try Self.mismatches("c++filt -i", names)
    #expect(wrong.isEmpty && missing == 0, "\(wrong.prefix(5)), \(missing) missing")
  }

  @Test("every type of the C++ runtime, by its encoding alone")
  func types() throws {
    let names = try Self.exports("libstdc++.so.6", "_ZTS")
    #expect(names.count > 150)
    let expected = try Self.oracle("c++filt -i", names)
    for (name, expected) in zip(names, expected) {
      let encoding = String(name.dropFirst(4))
      #expect("typeinfo name for " + (Demangling.name(encoding) ?? "") == expected, "\(name)")
      #expect(Demangling.type("*" + encoding) == Demangling.type(encoding))
    }
  }

  @Test("every name that Swift's standard library exports, as swift demangle has it")
  func swift() throws {
    let names = try Self.exports("libswiftCore.so", "$s")
    #expect(names.count > 5000)
    let (wrong, missing) = try Self.mismatches("swift demangle -no-sugar", names)
    // Too long, or so it seems.
    #expect(wrong.isEmpty && missing < names.count / 100, "\(wrong.prefix(5)), \(missing) missing")
  }

  @Test(
    "names of Rust's two encodings, as recorded from c++filt",
    arguments: [
      ("_RNvMNtCs6xxl1lAjzDf_1a5innerINtB2_7SessionhE4showB4_", "<a::inner::Session<u8>>::show"),
      ("_RNCINvCs6xxl1lAjzDf_1a7genericKj3_xE0B4_", "a::generic::<3, i64>::{closure#0}"),
      ("_RNvCs6xxl1lAjzDf_1au9gre_6ka8i", "a::größe"),
      (
        "_RNvXs0_NtCs6xxl1lAjzDf_1a5innerRAINtB5_7SessionhEj3_NtB5_3Act3act",
        "<&[a::inner::Session<u8>; 3] as a::inner::Act>::act"
      ),
      (
        "_RINvNtCsgEmfK2I1SDS_4core3ptr13drop_in_placeINtNtCslNYArtu3iFV_5alloc5boxed3Box"
          + "DNtNtCs6xxl1lAjzDf_1a5inner3ActEL_EEB1k_",
        "core::ptr::drop_in_place::<alloc::boxed::Box<dyn a::inner::Act>>"
      ),
      ("_ZN1a5inner16Session$LT$T$GT$4show17hd229bd3b37dcb5ffE", "a::inner::Session<T>::show"),
      (
        "_ZN1a7generic28_$u7b$$u7b$closure$u7d$$u7d$17h8e70ec3e97810e5dE",
        "a::generic::{{closure}}"
      ),
      ("_ZN1a4main17h1854dee5fd9945b4E", "a::main"),
    ])
  func recordedRust(name: String, expected: String) {
    #expect(Demangling.name(name) == expected)
  }

  @Test(
    "every name in a program of Rust, as c++filt has it",
    .enabled(
      if: isInstalled("rustc"), "rustc is not installed; names recorded from it are compared anyway"
    ),
    arguments: ["v0", "legacy"])
  func rust(version: String) throws {
    let directory = try TestKit.TemporaryDirectory()
    try write(
      """
      mod inner {
        pub struct Session<T> { pub value: T }
        impl<T: std::fmt::Debug> Session<T> {
          #[inline(never)] pub fn show(&self) { println!("{:?}", self.value) }
        }
      }
      fn main() { let s = inner::Session { value: [Some(1u8), None] }; s.show(); }
      """, toFile: directory.file("a.rs"))
    // The first encoding is no longer one that stable compilers are told to use.
    _ = try run([
      "sh", "-c",
      "cd '\(directory.path)' && RUSTC_BOOTSTRAP=1 rustc -Z unstable-options "
        + "-C symbol-mangling-version=\(version) -o a a.rs",
    ])
    let names = try run(["nm", directory.file("a")]).split(separator: "\n")
      .compactMap { $0.split(separator: " ").last.map(String.init) }
      .filter { $0.hasPrefix(version == "v0" ? "_R" : "_ZN") && !$0.contains("@") }
    #expect(names.contains { $0.contains("inner") })
    for (name, expected) in zip(names, try Self.oracle("c++filt -i -s rust", names)) {
      let found = Demangling.symbol(name)
      #expect(found == expected || found == nil && expected == name, "\(name)")
    }
  }

  @Test(
    "names of C++ types and symbols, and of Swift's",
    arguments: [
      ("N3app7SessionE", "app::Session"),
      ("3Foo", "Foo"),
      ("*N12_GLOBAL__N_16HiddenE", "(anonymous namespace)::Hidden"),
      ("_ZTVN12_GLOBAL__N_16HiddenE", "vtable for (anonymous namespace)::Hidden"),
      ("St6vectorIiSaIiEE", "std::vector<int, std::allocator<int> >"),
      ("i", "int"),
      ("_ZN3fooEv.cold", "foo() [clone .cold]"),
      ("_ZdlPvm@@CXXABI_1.3.9", "operator delete(void*, unsigned long)"),
      ("$s4main7SessionCMn", "nominal type descriptor for main.Session"),
      ("_$s4main7SessionCfD", "main.Session.__deallocating_deinit"),
      ("$S4main7SessionCN", "type metadata for main.Session"),
      ("_T04main7SessionCN", "type metadata for main.Session"),
    ])
  func examples(name: String, expected: String) {
    #expect(Demangling.name(name) == expected)
  }

  @Test(
    "what is no encoding has no other name",
    arguments: [
      "", "*", "_", "_Z", "_R", "$s", "$", "malloc", "main_arena", "_ZN", "_T", "_start",
      "N3app", "größe", "_Zgröße", "$sgröße", "___", "_GLOBAL_OFFSET_TABLE_",
    ])
  func none(name: String) {
    #expect(Demangling.name(name) == nil)
  }

  @Test("a word that happens to encode a type is no symbol's name", arguments: ["i", "x", "f"])
  func short(name: String) {
    #expect(Demangling.symbol(name) == nil)
    #expect(Demangling.type(name) != nil)
  }

  // MARK: Hostile names

  @Test("a short name that stands for gigabytes has no other name", .timeLimit(.minutes(1)))
  func bombs() {
    let long = "_Z1f" + String(repeating: "3foo", count: 1000)
    #expect(Demangling.symbol(long)?.hasPrefix("f(foo, foo, foo") == true)
    // Each pair has the one before twice.
    var cxx = "_Z1f4PairIiiE"
    var swift = "$s1a4PairVySiSiG"
    for level in 0..<60 {
      let last = level == 0 ? "S_" : "S\(String(level - 1, radix: 36).uppercased())_"
      cxx += "S_I\(last)\(last)E"
      swift += "ACy\(Self.reference(level + 3))\(Self.reference(level + 3))G"
    }
    #expect(Demangling.symbol(cxx) == nil)
    #expect(Demangling.symbol(swift) == nil)
    #expect(Demangling.symbol("$s1a4PairVySiSiG" + String(repeating: "A2047D", count: 200)) == nil)
    // Rust's second encoding refers back, too.
    var rust = "_RMC0TuuE"
    for _ in 0..<40 { rust = "_RMC0T" + rust.dropFirst(5) + "B4_E" }
    _ = Demangling.symbol(rust)
    for (prefix, letter) in [("_Z1f", "P"), ("_Z1f", "F"), ("$s", "y"), ("_RM", "T"), ("", "P")] {
      for count in [1000, 4000, 1_000_000] {
        let name = prefix + String(repeating: letter, count: count)
        let length = Demangling.name(name)?.utf8.count ?? 0
        #expect(count <= 4000 ? length <= 1 << 16 : length == 0)
      }
    }
  }

  /// Names that took the C++ demangler hours: each level doubles the ways that it tries.
  static let endless: [String] = {
    let levels = 1...40
    let within = levels.map { "\(cxxReference($0))E" }.joined()
    let before = "FviiE" + levels.map { "Fv\(cxxReference($0))\(cxxReference($0))E" }.joined()
    let last = cxxReference(41)
    let few = (2...18).map { "\(cxxReference($0))E" }.joined()
    return [
      "_Z1fIJEEvDp" + String(repeating: "F", count: 17) + "PFv"
        + String(repeating: "i", count: 3800)
        + "E" + few,
      "_Z1fIJEEvDp" + String(repeating: "F", count: 40) + "Pi" + within,
      "_Z1fI\(before)EDp\(last)v", "_Z1fI\(before)EDpRKT_I\(last)Ev",
      "_Z1fI\(before)EDTcl1gspcv\(last)fp_EEv",
      "_ZN1Acv" + String(repeating: "T_I", count: 60) + "i" + String(repeating: "E", count: 60)
        + "Ev",
    ]
  }()

  private static func cxxReference(_ number: Int) -> String {
    number == 0 ? "S_" : "S\(String(number - 1, radix: 36).uppercased())_"
  }

  @Test(
    "a name for which the C++ demangler tries every way has no other name", .timeLimit(.minutes(1)),
    arguments: endless)
  func everyWay(name: String) {
    let time = ContinuousClock().measure { #expect(Demangling.symbol(name) == nil) }
    #expect(time < .seconds(5), "\(time)")
  }

  @Test("names with packs and conversions of any kind are demangled")
  func packs() {
    for (name, expected) in [
      ("_Z1fIJicEEvDpRKT_", "void f<int, char>(int const&, char const&)"),
      (
        "_Z1fIJicEEvDpSt6vectorIT_SaIS1_EE",
        "void f<int, char>(std::vector<int, std::allocator<int> >, "
          + "std::vector<char, std::allocator<char> >)"
      ),
      ("_ZN1AcvT_IiEI1BEEv", "A::operator B<int><B>()"),
    ] {
      #expect(Demangling.symbol(name) == expected)
    }
  }

  private static func reference(_ number: Int) -> String {
    number < 26
      ? "A" + String(UnicodeScalar(UInt8(65 + number)))
      : "A\(number == 26 ? "" : String(number - 27))_"
  }

  @Test(
    "names with letters exchanged neither end the program nor take long", .timeLimit(.minutes(5)))
  func damaged() throws {
    var random = Xorshift()
    let clock = ContinuousClock()
    var longest = Duration.zero
    let names =
      try Self.exports("libstdc++.so.6", "_Z") + Self.exports("libswiftCore.so", "$s")
      + [
        "_RNvXs0_NtCs6xxl1lAjzDf_1a5innerRAINtB5_7SessionhEj3_NtB5_3Act3act",
        "_ZN1a7generic28_$u7b$$u7b$closure$u7d$$u7d$17h8e70ec3e97810e5dE",
      ]
    let letters = Array("AFNPSTIEXLJDybcdqgtxvim0123456789_$".utf8)
    for _ in 0..<200_000 {
      var name = Array(names[random.below(names.count)].utf8)
      for _ in 0...random.below(4) {
        let place = random.below(name.count)
        switch random.below(4) {
        case 0: name.remove(at: place)
        case 1: name.insert(letters[random.below(letters.count)], at: place)
        case 2: name[place] = letters[random.below(letters.count)]
        default:
          let end = place + random.below(min(40, name.count - place))
          name.insert(contentsOf: name[place..<end], at: random.below(name.count))
        }
        if name.isEmpty { name = [36, 115] }
      }
      let text = String(decoding: name, as: UTF8.self)
      let time = clock.measure { _ = Demangling.name(text) }
      if time > longest { longest = time }
    }
    #expect(longest < .seconds(2), "\(longest)")
  }
}

/// Numbers that look random and are the same in each run.
struct Xorshift {
  private var state: UInt64 = 0x2545_f491_4f6c_dd1d

  /// A number from 0 up to `limit`, which is not one of them.
  mutating func below(_ limit: Int) -> Int {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return limit > 0 ? Int(state % UInt64(limit)) : 0
  }
}
