// What the chunks of real programs hold, with gdb and `swift demangle` as judges.

import Foundation
import TestKit
import Testing

@Suite("Types of real programs", .serialized)
struct RealProgramTypeTests {
  /// How many chunks gdb is asked about.
  private static let most = 1000

  /// What the tool and what gdb says of chunks whose first words point into files.
  private func answers(
    _ pid: Int32
  ) throws -> [(address: UInt64, told: ToldType, truth: FirstWord)] {
    let told = try toldTypes(pid)
    let chosen = try pointingIntoFiles(Array(told.keys), pid, count: Self.most)
    let truths = try FirstWord.told(of: chosen, in: pid)
    return chosen.compactMap { address in
      guard let type = told[address], let truth = truths[address] else { return nil }
      return (address, type, truth)
    }
  }

  @Test(
    "C++ classes are those that gdb finds, in the same file, and no others",
    arguments: RealProgram.allCases)
  func classes(program: RealProgram) throws {
    let running = try program.start()
    var objects = 0
    var names: Set<String> = []
    for (address, told, truth) in try answers(running.pid) {
      let comment = Comment("\(told.name) at \(String(address, radix: 16)): \(truth)")
      if let name = truth.vtableClass {
        objects += 1
        names.insert(name)
        #expect(told.name == name || told.name == name + "[]", comment)
        #expect(told.kind == "C++", comment)
        if let binary = told.binary, !truth.file.isEmpty {
          #expect(canonical(binary) == canonical(truth.file), comment)
        }
      } else if told.kind == "C++", !told.name.hasSuffix("[]"), !told.name.contains(" at +") {
        // What has no name has no symbol either.
        #expect(told.rule == "vtable_unnamed" && truth.symbol.isEmpty, comment)
      }
    }
    let least: (objects: Int, names: Int) =
      switch program {
      case .debugger: (200, 20)
      case .icu: (500, 30)
      case .qt: (500, 25)
      case .languageServer: (50, 20)
      case .documentation, .malloscope: (0, 0)
      }
    #expect(objects >= least.objects && names.count >= least.names, "\(objects), \(names.count)")
  }

  @Test(
    "Swift classes are those whose metadata symbols say so",
    arguments: [RealProgram.languageServer, .documentation, .malloscope])
  func swiftClasses(program: RealProgram) throws {
    let running = try program.start()
    let answers = try answers(running.pid)
    let symbols = Set(answers.map(\.truth.symbol)).filter { $0.hasPrefix("$s") }.sorted()
    let demangled = try demangled(symbols)
    var objects = 0
    for (address, told, truth) in answers {
      let meaning = demangled[truth.symbol] ?? ""
      let comment = Comment("\(told.name) at \(String(address, radix: 16)): \(truth), \(meaning)")
      // The second begins with what stands before the place to which objects point.
      let name = ["type metadata for ", "full type metadata for "].first(where: meaning.hasPrefix)
        .map { String(meaning.dropFirst($0.count)) }
      if let name, told.kind == "Swift" {
        objects += 1
        #expect(isSame(told.name, name), comment)
      } else if told.kind == "Swift" {
        // Metadata of closures has local symbols at most, and that of generic classes none.
        #expect(
          ["closure context or box", "box of ", "Swift task", "Swift error"]
            .contains(where: told.name.hasPrefix) || truth.symbol.isEmpty, comment)
      }
    }
    #expect(objects >= (program == .malloscope ? 20 : 60), "\(objects)")
  }

  /// Whether a name of ours is that which the demangler makes, but for the file of a private type and the
  /// function of a local one, which it shows, too.
  private func isSame(_ name: String, _ demangled: String) -> Bool {
    let open = demangled.replacing(#/\((\w+) in _[0-9A-F]{32}\)/#) { String($0.output.1) }
    if let local = open.prefixMatch(of: #/(\w+) #\d+ in /#) {
      return name.hasSuffix(".\(local.output.1)")
    }
    return name == open
  }

  private func demangled(_ symbols: [String]) throws -> [String: String] {
    let run = try ToolRun(
      executable: try installedProgram("swift"), ["demangle", "--compact"] + symbols)
    let lines = run.output.split(separator: "\n").map(String.init)
    try #require(lines.count == symbols.count, "\(run.error)")
    return Dictionary(uniqueKeysWithValues: zip(symbols, lines))
  }

  /// The file behind the links of a path.
  private func canonical(_ path: String) -> String {
    URL(filePath: path).resolvingSymlinksInPath().path
  }
}
