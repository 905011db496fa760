// The verb `watch` without a terminal: what it writes for each sample, in each format.

import Foundation
import Glibc
import TestKit
import Testing

@Suite("A watch without a terminal", .serialized)
struct WatchLineTests {
  /// The lines that begin a sample in text, with the time of day.
  private func blocks(_ text: String) -> [Substring] {
    text.split(separator: "\n").filter { $0.firstMatch(of: #/^\d\d:\d\d:\d\d  in use /#) != nil }
  }

  @Test("in text there is a block for each sample and a summary")
  func text() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let run = try ToolRun(["watch", "\(program.pid)", "0.1", "5"] + unstretched)
    #expect(run.ending == .exit(0), "\(run.error)")
    #expect(run.error == "")
    #expect(blocks(run.output).count == 5, "\(run.output)")
    // Who it is comes once.
    #expect(run.output.hasPrefix("\(program.pid) HeapScenario ("), "\(run.output)")
    #expect(run.output.matches(of: #/HeapScenario \(/#).count == 1)
    #expect(run.output.contains(#/\nSummary of 5 samples in \S+: all samples were taken\.\n/#))
    #expect(run.output.contains("- In use did not grow for good: it is "))
    #expect(run.output.contains(#/The target was stopped \S+ ?\S* at most, /#))
    #expect(!run.output.contains("\u{1b}"))
    let tooLong = run.output.split(separator: "\n").filter { $0.count > 80 }
    #expect(tooLong == [])
    #expect(try program.close() == .exit(0))
  }

  @Test("without an interval there is a sample each second")
  func everySecond() throws {
    let program = try TargetProgram(scenario: "main-only", ["2000"])
    try program.waitReady()
    // On a busy machine a stop can take so long that the interval would be stretched.
    let watch = try RunningWatch(program.pid, unstretched)
    let times = try (0..<3).map { _ in try watch.sample().watch.elapsedS }
    #expect(times[0] == 0)
    #expect((0.95...1.8).contains(times[1]) && (1.9...4).contains(times[2]), "\(times)")
    watch.process.send(SIGINT)
    _ = try watch.summary(code: 130)
  }

  @Test("in JSON each sample is a histogram with what changed, and the last line is the summary")
  func json() throws {
    let program = try TargetProgram(scenario: "everything")
    try program.waitReady()
    let run = try WatchedRun(program.pid, ["0.2", "5"] + unstretched)
    let whole = try reportedHeap(program.pid)
    #expect(run.samples.map(\.watch.sample) == [1, 2, 3, 4, 5])
    for sample in run.samples {
      #expect(sample.heap.schema == "malloscope/histogram/1")
      #expect(sample.heap.target.pid == program.pid)
      #expect(sample.heap.totals == whole.totals && sample.heap.histogram == whole.histogram)
      #expect(sample.watch.growth.inUseBytes == 0)
      #expect(sample.watch.growing.isEmpty)
      #expect(try #require(sample.watch.residentBytes) > 1 << 20)
      #expect(sample.heap.capture.totalStopMs > 0)
    }
    // Before there are two samples there is no speed.
    #expect(run.samples[0].watch.perSecond.inUseBytes == nil)
    #expect(run.samples[1].watch.perSecond.inUseBytes == 0)
    for (before, after) in zip(run.samples, run.samples.dropFirst()) {
      #expect((0.19...2).contains(after.watch.elapsedS - before.watch.elapsedS))
    }
    #expect(run.summary.schema == "malloscope/watch-summary/1")
    #expect(run.summary.end == "all samples were taken")
    #expect(run.summary.samples == 5 && run.summary.incompleteSamples == 0)
    #expect(abs(run.summary.seconds - run.samples[4].watch.elapsedS) < 0.01)
    #expect(run.summary.inUse?.bytesPerMinute == 0 && run.summary.inUse?.grows == false)
    #expect(run.summary.kinds == [] && run.summary.grown.isEmpty && run.summary.gate == nil)
    #expect(run.summary.words.count == 1)
    let longest = run.samples.map(\.heap.capture.longestStopMs).max()
    #expect(run.summary.stops.longestStopMs == longest)
    let total = run.samples.reduce(0) { $0 + $1.heap.capture.totalStopMs }
    #expect(abs(run.summary.stops.totalStopMs - total) < 0.1)
  }

  @Test("in CSV there is a header, then a row of the totals for each sample")
  func csv() throws {
    let program = try TargetProgram(scenario: "everything")
    try program.waitReady()
    let run = try ToolRun(["watch", "\(program.pid)", "0.1", "4", "--format", "csv"] + unstretched)
    #expect(run.ending == .exit(0))
    let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
    try #require(lines.count == 6 && lines[5] == [""])
    let header = lines[0]
    #expect(
      header == [
        "sample", "elapsed_s", "in_use_bytes", "in_use_chunks", "free_bytes", "cached_bytes",
        "top_bytes", "mmapped_bytes", "heap_bytes", "outside_malloc_bytes", "resident_bytes",
        "cgroup_bytes", "stopped_ms", "complete",
      ])
    let totals = try reportedHeap(program.pid).totals
    for (number, row) in lines[1...4].enumerated() {
      try #require(row.count == header.count)
      #expect(row[0] == "\(number + 1)")
      #expect(row[2] == "\(totals.inUseBytes)" && row[3] == "\(totals.inUseChunks)")
      #expect(row[4] == "\(totals.freeBytes)" && row[5] == "\(totals.cachedBytes)")
      #expect(row[6] == "\(totals.topBytes)" && row[7] == "\(totals.mmappedBytes)")
      #expect(row[13] == "1")
    }
    // What the rows cannot say is told beside them, unless nobody wants to know.
    #expect(run.error.hasPrefix("note: In use did not grow for good: it is "))
    let quiet = try ToolRun(
      ["watch", "\(program.pid)", "0.1", "4", "--format", "csv", "-q"] + unstretched)
    #expect(quiet.error == "")
  }

  @Test("-o writes a file that must not exist, unless forced, and nothing to standard output")
  func file() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let directory = try TemporaryDirectory()
    let path = directory.file("watched")
    let words = ["watch", "\(program.pid)", "0.1", "2", "-o", path]
    let run = try ToolRun(words)
    #expect(run.ending == .exit(0) && run.output == "", "\(run.error)")
    let text = String(decoding: try contents(ofFile: path), as: UTF8.self)
    #expect(blocks(text).count == 2)
    #expect(text.contains("\nSummary of 2 samples in "))
    let again = try ToolRun(words)
    #expect(again.ending == .exit(74))
    #expect(
      again.error
        == "malloscope: cannot write \(path): it exists\n  hint: add --force to overwrite it\n")
    #expect(String(decoding: try contents(ofFile: path), as: UTF8.self) == text)
    #expect(try ToolRun(words + ["--force", "--json"]).ending == .exit(0))
    let lines = String(decoding: try contents(ofFile: path), as: UTF8.self)
    #expect(try WatchedRun(lines).samples.count == 2)
  }

  @Test("what is written to a file can be read while the watch goes on")
  func fileGrows() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let directory = try TemporaryDirectory()
    let path = directory.file("watched")
    let watch = try RunningWatch(program.pid, ["0.1", "-o", path] + unstretched)
    let hasThree = comes {
      (try? contents(ofFile: path))?.count { $0 == UInt8(ascii: "\n") } ?? 0 >= 3
    }
    #expect(hasThree)
    watch.process.send(SIGTERM)
    #expect(try watch.rest().ending == .exit(130))
    let text = String(decoding: try contents(ofFile: path), as: UTF8.self)
    #expect(try WatchedRun(text).summary.end == "interrupted")
  }

  @Test("the rows are ranges of sizes, exact sizes or arenas, filtered, sorted and limited")
  func rows() throws {
    let program = try TargetProgram(scenario: "everything")
    try program.waitReady()
    /// The words of the table of the only sample.
    func table(_ options: [String]) throws -> [[String]] {
      let run = try ToolRun(["watch", "\(program.pid)", "0.1", "1"] + options)
      #expect(run.ending == .exit(0), "\(options): \(run.error)")
      let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
      let heading = try #require(
        lines.firstIndex { $0.contains("per second") }, "\(run.output)")
      return lines[(heading + 1)...].prefix { $0 != "" }
        .map { $0.split(separator: " ").map(String.init) }
    }
    let document = try reportedHeap(program.pid)
    let sizes = try #require(document.histogram)

    let exact = try table(["--exact", "--bytes", "--sort", "size", "--limit", "4"])
    #expect(exact.count == 5 && exact[4].suffix(2) == ["more", "rows"], "\(exact)")
    let first = sizes.filter { $0.inUseChunks + $0.freeChunks + $0.cachedChunks > 0 }.prefix(4)
    #expect(exact.prefix(4).map { $0[0] } == first.map { grouped($0.size) })
    #expect(exact.prefix(4).map { $0[2] } == first.map { grouped($0.inUseBytes) })

    let byBytes = try table(["--exact", "--bytes", "--sort", "bytes", "--limit", "1"])
    #expect(byBytes.first?[2] == grouped(try #require(sizes.map(\.inUseBytes).max())))
    let byCount = try table(["--exact", "--sort", "count", "--limit", "1"])
    #expect(byCount.first?[1] == grouped(try #require(sizes.map(\.inUseChunks).max())))

    let some = try table(["--exact", "--bytes", "--size", "48..96", "--sort", "size"])
    #expect(
      some.map { $0[0] } == sizes.map(\.size).filter { (48...96).contains($0) }.map { "\($0)" })
    let ranges = try table(["--sort", "size", "--limit", "3"])
    #expect(ranges.prefix(3).allSatisfy { $0.count >= 3 }, "\(ranges)")

    let arenas = try table(["--by", "arena", "--bytes", "--limit", "99"])
    let mapped = document.totals.mmappedChunks > 0 ? ["mmap"] : []
    #expect(
      Set(arenas.map { $0[0] })
        == Set(document.arenas.map { $0.index == 0 ? "main" : "\($0.index)" } + mapped))
    let main = try #require(arenas.first { $0[0] == "main" })
    #expect(main[2] == grouped(document.arenas[0].inUseBytes))
  }

  @Test("a reader that has had enough ends the watch at once, however long the interval is")
  func closedPipe() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let script = "\"$0\" watch \"$1\" 60 $2 | head -1; echo \"${PIPESTATUS[0]}\""
    for format in ["", "--json"] {
      let begin = ContinuousClock.now
      let run = try ToolRun(
        executable: try installedProgram("bash"),
        ["-c", script, try BuildProduct.malloscope.path(), "\(program.pid)", format])
      #expect(ContinuousClock.now - begin < .seconds(10))
      // It was SIGPIPE, as for any program.
      #expect(run.output.hasSuffix("\n141\n"), "\(run.output)")
      #expect(run.output.split(separator: "\n").count == 2)
      #expect(run.error == "")
    }
    try expectUnharmed(program)
  }

  @Test("a sample that is incomplete is counted, and the exit code is 2")
  func incomplete() throws {
    let program = try TargetProgram(scenario: "vfork")
    try program.waitReady()
    let run = try WatchedRun(program.pid, ["0.1", "2"], code: 2)
    #expect(run.samples.allSatisfy { $0.heap.findings.map(\.kind) == ["thread_not_stopped"] })
    #expect(run.summary.incompleteSamples == 2)
    let text = try ToolRun(["watch", "\(program.pid)", "0.1", "1"])
    #expect(text.ending == .exit(2))
    #expect(text.output.contains("1 sample incomplete: see the findings."))
  }

  /// A number with commas between its thousands.
  private func grouped(_ number: UInt64) -> String {
    let digits = Array(String(number))
    return digits.enumerated().reduce(into: "") { text, digit in
      if digit.offset > 0, (digits.count - digit.offset).isMultiple(of: 3) { text += "," }
      text.append(digit.element)
    }
  }
}
