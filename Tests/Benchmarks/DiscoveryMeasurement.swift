// What finding malloc costs in a process that maps many files.

import CPtrace
import Glibc
import TestKit

/// `malloscope PID` on a small heap among many mapped files, from the tool's start to its end: nearly all
/// of it is finding out where malloc is.
struct DiscoveryMeasurement {
  /// What it is called on the command line.
  static let name = "discovery"
  /// How many libraries the target loads.
  private static let libraryCount = 60
  /// The most that is promised, in milliseconds.
  private static let mostMilliseconds = 20.0

  /// How many files the target maps, and the size of its libc's.
  let files: Int
  let libcBytes: UInt64
  /// From the tool's start to its end, in milliseconds.
  let wholeRun: Samples
  /// The same of a run that only prints the version: what starting the tool takes.
  let startUp: Samples
  /// What a run took more than the one for the version beside it.
  let difference: Samples
  /// What it read in all, through system calls and of files of all kinds, in bytes.
  let read: Samples

  /// Measures it.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(runs: Int) throws {
    let directory = try TemporaryDirectory()
    // Copies are files of their own, and the C++ library, which we have loaded ourselves, exports
    // thousands of names.
    let library = try Self.mapped(by: "self", "/libstdc++.so.6")
    let paths = (0..<Self.libraryCount).map { directory.file("library\($0).so") }
    for path in paths { _ = try ToolRun(executable: try installedProgram("cp"), [library, path]) }
    let program = try TargetProgram(
      ChildProcess.Launch(
        try CompiledProgram.path("ManyFiles.c", flags: ["-ldl"]), paths))
    try program.waitReady()
    files = try Self.mapped(by: "\(program.pid)").count
    let libc = try Self.mapped(by: "\(program.pid)", "/libc.so.6")
    libcBytes = UInt64(try contents(ofFile: libc).count)
    var times: [Double] = []
    var startUps: [Double] = []
    var bytes: [Double] = []
    for run in 0...runs {
      let (startUp, _) = try Self.run(["--version"])
      let (milliseconds, read) = try Self.run(["\(program.pid)"])
      // The first brings the files into memory.
      if run == 0 { continue }
      startUps.append(startUp)
      times.append(milliseconds)
      bytes.append(read)
    }
    (wholeRun, startUp, read) = (Samples(times), Samples(startUps), Samples(bytes))
    difference = Samples(zip(times, startUps).map { $0 - $1 })
    try program.close()
  }

  /// The files from which a process may run code.
  private static func mapped(by pid: String) throws -> [String] {
    String(decoding: try contents(ofFile: "/proc/\(pid)/maps"), as: UTF8.self)
      .split(separator: "\n").filter { $0.contains(" r-xp ") && $0.contains("/") }
      .compactMap { $0.split(separator: " ").last.map(String.init) }
  }

  private static func mapped(by pid: String, _ name: String) throws -> String {
    guard let path = try mapped(by: pid).first(where: { $0.contains(name) }) else {
      throw MeasuringError.noFigure(key: name, document: "the maps of process \(pid)")
    }
    return path
  }

  /// One run: how long it took, and how much it read.
  private static func run(
    _ arguments: [String]
  ) throws -> (milliseconds: Double, bytes: Double) {
    var launch = ChildProcess.Launch(try BuildProduct.malloscope.path(), arguments)
    launch.input = .file("/dev/null")
    let deadline = Deadline(in: TargetProgram.patience)
    let start = cpt_now()
    let process = try ChildProcess(launch)
    _ = try process.readToEnd(by: deadline)
    // What it read is told until it is waited for, and final once it is a zombie.
    while !deadline.hasPassed, state(of: process.pid) != "Z" { usleep(20) }
    let milliseconds = Double(cpt_now() - start) / 1_000_000
    let text = String(decoding: try contents(ofFile: "/proc/\(process.pid)/io"), as: UTF8.self)
    let ending = try process.waitForEnd(by: deadline, lookingEvery: 20)
    guard ending == .exit(0),
      let read = text.split(separator: "\n").first?.split(separator: " ").last.flatMap({
        Double($0)
      })
    else {
      throw MeasuringError.failed(
        program: "malloscope", ending, standardError: process.standardError)
    }
    return (milliseconds, read)
  }

  private static func state(of pid: pid_t) -> Substring? {
    let text = (try? contents(ofFile: "/proc/\(pid)/stat")).map {
      String(decoding: $0, as: UTF8.self)
    }
    return text?.split(separator: ")").last?.split(separator: " ").first
  }

  /// The figures as a table.
  var text: String {
    let isFast = difference.median <= Self.mostMilliseconds
    let isLittle = read.largest <= Double(libcBytes)
    return [
      "\(Self.name): \(files) mapped files, libc's has \(libcBytes / 1024) KiB",
      Table.heading(),
      Table.row(
        "whole run, ms", decimal(wholeRun.median, 1), wholeRun.range(decimals: 1), ""),
      Table.row("start-up alone, ms", decimal(startUp.median, 1), startUp.range(decimals: 1), ""),
      Table.row(
        "what it adds, ms", decimal(difference.median, 1), difference.range(decimals: 1), "",
        "\(decimal(Self.mostMilliseconds, 0)) \(isFast ? "met" : "not met")"),
      Table.row(
        "read, KiB", decimal(read.median / 1024, 0),
        "\(decimal(read.smallest / 1024, 0)) .. \(decimal(read.largest / 1024, 0))", "",
        "\(libcBytes / 1024) \(isLittle ? "met" : "not met")"),
    ].joined(separator: "\n")
  }
}
