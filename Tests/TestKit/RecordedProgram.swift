// Real programs that we did not write, run under the recorder up to a moment when they are quiet.

import Glibc

/// A program, and what brings it to a heap worth looking at.
package enum RecordedProgram: String, CaseIterable, Sendable {
  /// Python with 200,000 objects and C extensions.
  case python
  /// Perl with nested data.
  case perl
  /// sqlite3 with tables and an index in memory.
  case sqlite
  /// bash with large arrays.
  case bash
  /// gdb that has loaded a program's symbols.
  case gdb
  /// git importing a history.
  case git
  /// A C++ program with 8 threads.
  case threads8
  /// HeapScenario with four thread arenas.
  case scenario

  /// What is written to it before it says ready.
  private var script: String {
    switch self {
    case .sqlite:
      """
      create table t(a integer primary key, b text, c blob);
      with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
        insert into t select i, 'row ' || i, randomblob(i % 700) from n;
      create index by_b on t(b);
      delete from t where a % 7 = 0;
      select 'ready';

      """
    case .bash:
      """
      declare -a words; declare -A index
      for ((i = 0; i < 5000; i++)); do words[i]="word $i $((i * i))"; index[$i]=${words[i]}; done
      for ((i = 0; i < 5000; i += 3)); do unset "words[i]"; done
      f() { local a="${words[*]}"; echo "${#a}"; }; f; echo "$(echo a subshell)"
      echo ready

      """
    case .gdb:
      """
      set confirm off
      info functions scenario
      info types .
      python x = [str(i) * 20 for i in range(2000)]
      echo ready\\n

      """
    case .git: Self.history
    default: ""
    }
  }

  /// A history of 200 commits for git's import, which keeps what it has read in memory.
  private static var history: String {
    var text = "blob\nmark :1\ndata 3000\n" + String(repeating: "a line\n", count: 428) + "last\n"
    for number in 2...201 {
      text += "commit refs/heads/main\nmark :\(number)\n"
      text += "committer T <t@example.org> \(1_700_000_000 + number) +0000\ndata 8\nchange.\n"
      text += number == 2 ? "" : "from :\(number - 1)\n"
      text += "M 100644 :1 directory\(number % 20)/file\(number)\n\n"
    }
    return text + "progress ready\n"
  }

  private static let pythonText = """
    import sys, json, zlib, hashlib, decimal, sqlite3, ctypes, unicodedata, array, struct, re
    objects = [{"key %d" % i: str(i) * (i % 40)} for i in range(60000)]
    objects += [bytes(500 + i % 3000) for i in range(20000)]
    objects += [decimal.Decimal(i) / 7 for i in range(60000)]
    objects += [array.array("d", range(i % 200)) for i in range(60000)]
    del objects[::9]
    text = zlib.compress(json.dumps(objects[:5000]).encode())
    base = sqlite3.connect(":memory:")
    base.execute("create table t(a, b)")
    base.executemany("insert into t values (?, ?)", [(i, str(i)) for i in range(20000)])
    print("ready", flush=True)
    sys.stdin.read()
    """

  private static let perlText = """
    $| = 1;
    my @rows = map { { id => $_, name => "row $_" x ($_ % 9), list => [1 .. $_ % 30] } } 1 .. 20000;
    delete $rows[$_ * 5] for 0 .. 3999;
    my %index = map { $_->{id} => $_ } grep { defined } @rows;
    print "ready\\n";
    my $line = <STDIN>;
    """

  private func launch(in directory: TemporaryDirectory) throws(TestKitError) -> ChildProcess.Launch
  {
    switch self {
    case .python: .init(try installedProgram("python3"), ["-I", "-c", Self.pythonText])
    case .perl: .init(try installedProgram("perl"), ["-e", Self.perlText])
    case .sqlite: .init(try installedProgram("sqlite3"), ["-batch", "-init", "/dev/null"])
    case .bash: .init(try installedProgram("bash"), ["--norc", "--noprofile"])
    case .gdb:
      .init(try installedProgram("gdb"), ["-q", "-nx", try BuildProduct.heapScenario.path()])
    case .git:
      .init(
        try installedProgram("git"),
        ["--git-dir=" + directory.file("repository"), "fast-import", "--quiet"])
    case .threads8: .init(try CompiledProgram.path("Threads8.cpp"))
    case .scenario: .init(try BuildProduct.heapScenario.path(), ["threads"])
    }
  }

  /// How the line that says ready begins; gdb writes its prompt before it.
  private var marker: String { self == .git ? "progress ready" : "ready" }

  /// Starts it under the recorder and waits until it is ready and does nothing any more.
  ///
  /// - Throws: `TestKitError`.
  package func start() throws(TestKitError) -> RecordedRun {
    let directory = try TemporaryDirectory()
    if self == .git {
      let run = try ToolRun(
        executable: try installedProgram("git"),
        ["init", "--quiet", "--bare", directory.file("repository")])
      guard run.ending == .exit(0) else {
        throw .malformed(what: "git init", text: run.output + run.error)
      }
    }
    let run = try RecordedRun(try launch(in: directory), directory: directory)
    try run.program.process.write(script)
    let deadline = Deadline(in: TargetProgram.patience)
    while !(try run.program.process.readLine(by: deadline, waitingFor: marker)).contains(marker) {}
    try run.waitUntilQuiescent()
    return run
  }
}

/// A program that runs under the recorder.
package final class RecordedRun {
  /// The program.
  package let program: TargetProgram
  /// The file of the recorder's table.
  package let tablePath: String
  /// Holds the table and whatever else the program needs, until the run is released.
  private let directory: TemporaryDirectory

  /// Starts `launch` under the recorder, or another build of it, with room for about 900,000 live
  /// allocations.
  ///
  /// - Throws: `TestKitError`.
  package init(
    _ launch: ChildProcess.Launch, directory: TemporaryDirectory, recorder: String? = nil
  ) throws(TestKitError) {
    var launch = launch
    tablePath = directory.file("allocations")
    let recorder = if let recorder { recorder } else { try BuildProduct.allocationRecorder.path() }
    launch.environment["LD_PRELOAD"] = recorder
    launch.environment["MALLOSCOPE_RECORD"] = tablePath
    launch.environment["DEBUGINFOD_URLS"] = .some(nil)
    launch.environment["TERM"] = "dumb"
    launch.environment["LC_ALL"] = "C.UTF-8"
    self.directory = directory
    program = try TargetProgram(launch)
  }

  /// Its process id.
  package var pid: Int32 { program.pid }

  /// What is live in it now; it must be stopped or quiescent.
  ///
  /// - Throws: `TestKitError`.
  package func allocations() throws(TestKitError) -> RecordedAllocations {
    let allocations = try RecordedAllocations(path: tablePath)
    guard allocations.pid == pid else {
      throw .malformed(what: "the table of process \(allocations.pid)", text: "wanted \(pid)")
    }
    return allocations
  }

  /// Waits until all its threads sleep and nothing is allocated or freed for a while.
  ///
  /// - Throws: `TestKitError.deadline`.
  package func waitUntilQuiescent() throws(TestKitError) {
    let deadline = Deadline(in: TargetProgram.patience)
    var last: UInt64?
    var calmLooks = 0
    while calmLooks < 5 {
      if deadline.hasPassed {
        throw .deadline(
          program: program.process.name, waitingFor: "quiescence", seen: "sequence \(last ?? 0)")
      }
      usleep(5000)
      let sequence = RecordedAllocations.sequence(path: tablePath)
      let isCalm = sequence != nil && sequence == last && allThreadsSleep(pid: pid)
      calmLooks = isCalm ? calmLooks + 1 : 0
      last = sequence
    }
  }
}

/// Whether every thread of the process is in an interruptible sleep.
///
/// Whoever sees its own threads stopped by a debugger is not asleep in this sense.
package func allThreadsSleep(pid: Int32) -> Bool {
  guard let tasks = opendir("/proc/\(pid)/task") else { return false }
  defer { closedir(tasks) }
  var count = 0
  while let entry = readdir(tasks) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
      tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    guard name.first?.isNumber == true else { continue }
    guard let bytes = try? contents(ofFile: "/proc/\(pid)/task/\(name)/stat") else {
      return false
    }
    // The state follows the command, which is in parentheses and may hold any character.
    let rest = String(decoding: bytes, as: UTF8.self).split(separator: ")").last ?? ""
    guard rest.dropFirst().first == "S" else { return false }
    count += 1
  }
  return count > 0
}
