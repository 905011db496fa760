// Inputs that the fuzzer found, walked once more: see Tests/fuzz.

import HeapFuzzing
import TestKit
import Testing

@Suite("Walks that the fuzzer found")
struct CorpusTests {
  private static let directory =
    "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Corpus"

  @Test(
    "inputs that the fuzzer found say nothing that cannot be",
    arguments: [("mended.txt", 4), ("walks.txt", 300)])
  func corpus(file: String, least: Int) throws {
    let corpus = try FuzzCorpus(file: "\(Self.directory)/\(file)")
    #expect(corpus.entries.count >= least)
    for entry in corpus.entries {
      let failures = FuzzedWalk(entry.bytes).failures()
      #expect(failures.isEmpty, "\(entry.name): \(failures.joined(separator: "\n"))")
    }
  }
}
