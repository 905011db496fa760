// The archive and the package for Debian: what is in them, and that it belongs to the program.

import Glibc
import TestKit
import Testing

@Suite("Archive and .deb", .enabled(if: Packages.obstacle == nil, Packages.obstacle))
struct ArchiveTests {
  /// The archive's files in a directory of their own.
  private func unpackedArchive() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    _ = try run(
      try installedProgram("tar"),
      ["-xJf", try Packages.archive, "-C", directory.path, "--strip-components=1"])
    return directory
  }

  /// The .deb's files in a directory of their own.
  private func unpackedDebianPackage() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    _ = try run(
      try installedProgram("dpkg-deb"), ["--extract", try Packages.debianPackage, directory.path])
    return directory
  }

  /// Licences go along as soon as there are any.
  private func withoutLicences(_ files: [String]) -> [String] {
    files.filter { !$0.contains("LICENSE") && !$0.contains("NOTICE") }
  }

  @Test("the archive has the static binary, a man page, completions and a README")
  func archive() throws {
    let name = try #require(try Packages.archive.split(separator: "/").last)
    var system = utsname()
    uname(&system)
    let machine = withUnsafeBytes(of: system.machine) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    let stem = "malloscope-\(try Packages.version())-\(machine)-linux"
    #expect(name == "\(stem).tar.xz")
    let entries = try run(try installedProgram("tar"), ["-tJf", try Packages.archive])
      .split(separator: "\n")
    #expect(entries.allSatisfy { $0.hasPrefix(stem + "/") })
    let directory = try unpackedArchive()
    #expect(
      withoutLicences(try files(below: directory.path)) == [
        "README", "bin/malloscope", "share/bash-completion/completions/malloscope",
        "share/fish/vendor_completions.d/malloscope.fish", "share/man/man1/malloscope.1",
        "share/zsh/site-functions/_malloscope",
      ])
    #expect(
      try contents(ofFile: directory.file("bin/malloscope")) == contents(ofFile: Packages.binary))
  }

  @Test("the man page has every verb, option and exit code, and no hidden verb")
  func manual() throws {
    let directory = try unpackedArchive()
    let page = try text(ofFile: directory.file("share/man/man1/malloscope.1"))
    let lines = Set(page.split(separator: "\n"))
    for verb in Packages.verbs {
      #expect(lines.contains(".It Em \(verb)"))
      let help = try run(try Packages.binary, ["help", verb])
      let options = help.matches(of: /(?m)^  (?:-\w, )?--([a-z-]+)/).map(\.output.1)
      #expect(options.count > 3)
      for option in options {
        let entry = /\.It Fl (?:\w , )?-([a-z-]+)(?: .*)?/
        #expect(lines.contains { $0.wholeMatch(of: entry)?.output.1 == option }, "\(option)")
      }
    }
    for verb in Packages.hiddenVerbs { #expect(!page.contains(verb)) }
    for code in [0, 1, 2, 64, 66, 69, 70, 74, 77, 130] { #expect(lines.contains(".It \(code)")) }
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "\"EXIT STATUS\"", "EXAMPLES"] {
      #expect(lines.contains(".Sh \(section)"))
    }
  }

  @Test(
    "each shell's completion has every verb, and no hidden one",
    arguments: [
      "bash-completion/completions/malloscope", "zsh/site-functions/_malloscope",
      "fish/vendor_completions.d/malloscope.fish",
    ])
  func completions(file: String) throws {
    let directory = try unpackedArchive()
    let completion = try text(ofFile: directory.file("share/" + file))
    for verb in Packages.verbs { #expect(completion.contains(verb)) }
    for verb in Packages.hiddenVerbs { #expect(!completion.contains(verb)) }
    if file.hasPrefix("bash") {
      _ = try run(try installedProgram("bash"), ["-n", directory.file("share/" + file)])
    }
  }

  @Test("the .deb states what it is and needs, and has these files")
  func debianPackage() throws {
    let package = try Packages.debianPackage
    let tool = try installedProgram("dpkg-deb")
    func field(_ name: String) throws -> String {
      String(try run(tool, ["--field", package, name]).dropLast())
    }
    let version = try Packages.version()
    let architecture = try run(try installedProgram("dpkg"), ["--print-architecture"]).dropLast()
    #expect(package.hasSuffix("/malloscope_\(version)_\(architecture).deb"))
    #expect(try field("Package") == "malloscope")
    #expect(try field("Version") == version)
    #expect(try field("Architecture") == architecture)
    let dependencies = try field("Depends").split(separator: ", ").compactMap {
      $0.split(separator: " ").first.map { $0.replacing(/t64$/, with: "") }
    }
    #expect(Set(dependencies).isSuperset(of: ["libc6", "libdw1", "libelf1", "libstdc++6"]))
    // Swift's runtime is linked in.
    #expect(dependencies.allSatisfy { !$0.lowercased().contains("swift") })

    let directory = try unpackedDebianPackage()
    #expect(
      withoutLicences(try files(below: directory.path)) == [
        "usr/bin/malloscope", "usr/share/bash-completion/completions/malloscope",
        "usr/share/doc/malloscope/README",
        "usr/share/fish/vendor_completions.d/malloscope.fish",
        "usr/share/man/man1/malloscope.1.gz", "usr/share/zsh/vendor-completions/_malloscope",
      ])
    let size = try run(try installedProgram("du"), ["-sk", "--apparent-size", directory.path])
    let kilobytes = try #require(size.split(separator: "\t").first.flatMap { Int($0) })
    let stated = try #require(Int(try field("Installed-Size")))
    #expect((kilobytes - 100...kilobytes).contains(stated), "\(stated) of \(kilobytes)")
  }

  @Test("the program in the .deb is of the same build, and finds what the static one finds")
  func debianProgram() throws {
    let directory = try unpackedDebianPackage()
    let installed = directory.file("usr/bin/malloscope")
    #expect(try run(installed, ["--version"]) == run(try Packages.binary, ["--version"]))
    let program = try TargetProgram(scenario: "everything")
    try program.waitReady()
    let arguments = ["\(program.pid)", "--json"]
    let sums = try HeapSums(try run(installed, arguments))
    #expect(try sums == HeapSums(try run(try Packages.binary, arguments)))
    #expect(try program.close() == .exit(0))
  }
}
