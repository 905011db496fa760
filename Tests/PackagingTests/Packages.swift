// What Sources/Packaging/package has made, and programs that look into it.

import Foundation
import Glibc
import TestKit
import Testing

/// The packages, which are made before the tests: by Tests/run, or by Sources/Packaging/package.
enum Packages {
  private static let directory = testsPath("../.build/packages")
  /// The directory that they are made from.
  static let sources = testsPath("../Sources/Packaging")
  /// The verbs that a user has.
  static let verbs = ["histogram", "watch", "chunks", "arenas", "doctor", "demo"]
  /// The verbs that only malloscope itself uses.
  static let hiddenVerbs = ["demo-target", "clone-keeper"]

  /// Why they cannot be tested, nil if they can or must be.
  static var obstacle: Comment? {
    guard !mustRunEverything, (try? (binary, archive, debianPackage)) == nil else { return nil }
    return "no packages are there: run Sources/Packaging/package"
  }

  /// The static binary.
  static var binary: String { get throws { try path { $0 == "malloscope" } } }
  /// The archive.
  static var archive: String { get throws { try path { $0.hasSuffix(".tar.xz") } } }
  /// The package for Debian.
  static var debianPackage: String { get throws { try path { $0.hasSuffix(".deb") } } }

  private static func path(_ isWanted: (String) -> Bool) throws -> String {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    let found = names.filter { !$0.hasPrefix(".") && isWanted($0) }
    guard found.count == 1 else { throw TestKitError.notFound(program: "package", searched: names) }
    return directory + "/" + found[0]
  }

  /// The version number that the static binary states.
  static func version() throws -> String {
    let words = try run(try binary, ["--version"]).split(separator: " ")
    return String(try #require(words.dropFirst().first))
  }
}

/// What a program prints, of which nothing but success is expected.
func run(_ executable: String, _ arguments: [String]) throws -> String {
  let run = try ToolRun(executable: executable, arguments)
  try #require(run.ending == .exit(0), "\(executable) \(arguments): \(run.error)")
  return run.output
}

/// The paths of all files below a directory, relative to it, sorted.
func files(below directory: String) throws -> [String] {
  let found = try run(try installedProgram("find"), [directory, "-type", "f", "-printf", "%P\n"])
  return found.split(separator: "\n").map(String.init).sorted()
}

/// The text of a file.
func text(ofFile path: String) throws -> String {
  String(decoding: try contents(ofFile: path), as: UTF8.self)
}

/// What a heap holds, of the tool's JSON.
struct HeapSums: Decodable, Equatable {
  var totals: [String: UInt64]
  var histogram: [[String: UInt64]]
  var coverage: Double

  init(_ json: String) throws {
    let decoder = JSONDecoder()
    self = try decoder.decode(Self.self, from: Data(json.utf8))
  }
}
