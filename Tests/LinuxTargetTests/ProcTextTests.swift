// The parsers of status, stat, cmdline and cgroup on literal text.

import HeapModel
import LinuxTarget
import Testing

@Suite("The small files of a process")
struct ProcTextTests {
  @Test("status is read from namespaced ids to capabilities")
  func status() throws {
    let status = try #require(
      ProcessStatus(
        parsing: """
          Name:\tmy prog
          Umask:\t0022
          State:\tt (tracing stop)
          Tgid:\t4711
          Ngid:\t0
          Pid:\t4713
          PPid:\t1
          TracerPid:\t99
          Uid:\t1000\t1001\t1002\t1003
          Gid:\t10\t11\t12\t13
          NStgid:\t4711\t7
          NSpid:\t4713\t9\t3
          Threads:\t12
          CapPrm:\t00000000a80425fb
          CapEff:\t0000000000080000
          CapBnd:\t000001ffffffffff
          Seccomp:\t2
          """))
    #expect(status.state == "t" && status.threadGroup == 4711 && status.pid == 4713)
    #expect(status.parent == 1 && status.tracer == 99 && status.threads == 12)
    #expect(status.users == IDs(real: 1000, effective: 1001, saved: 1002))
    #expect(status.groups == IDs(real: 10, effective: 11, saved: 12))
    #expect(status.namespacedPIDs == [4713, 9, 3])
    #expect(status.permitted == 0xa804_25fb && status.effective == 1 << 19)
    #expect(status.bounding == 0x1ff_ffff_ffff && status.seccomp == .filter)
    #expect(status.memory == MemoryFigures())
  }

  @Test("status gives memory in bytes, and what restricts system calls")
  func statusMemory() throws {
    let text = """
      State:\tT (stopped)
      Tgid:\t5
      Pid:\t5
      PPid:\t1
      Uid:\t0\t0\t0\t0
      Gid:\t0\t0\t0\t0
      VmPeak:\t  999999 kB
      VmRSS:\t    1234 kB
      RssAnon:\t    1000 kB
      RssFile:\t     230 kB
      RssShmem:\t       4 kB
      VmSwap:\t       0 kB
      Seccomp:\t1
      """
    let status = try #require(ProcessStatus(parsing: text))
    #expect(
      status.memory
        == MemoryFigures(
          resident: 1_263_616, anonymous: 1_024_000, file: 235_520, swapped: 0))
    #expect(status.seccomp == .strict)
    let odd = text.replacing("Seccomp:\t1", with: "Seccomp:\t9")
      .replacing("1000 kB", with: "18446744073709551615 kB")
    let other = try #require(ProcessStatus(parsing: odd))
    #expect(other.seccomp == nil && other.memory.anonymous == nil)
  }

  @Test("a status of an old kernel has one id, and one without its basic fields is none")
  func oldStatus() throws {
    let text = "State:\tS (sleeping)\nTgid:\t5\nPid:\t5\nPPid:\t1\nUid:\t0 0 0 0\nGid:\t0 0 0 0\n"
    let status = try #require(ProcessStatus(parsing: text))
    #expect(status.namespacedPIDs == [5] && status.tracer == 0 && status.threads == 1)
    for field in ["State", "Tgid", "Pid", "PPid", "Uid", "Gid"] {
      let lines = text.split(separator: "\n").filter { !$0.hasPrefix(field + ":") }
      #expect(ProcessStatus(parsing: lines.joined(separator: "\n")) == nil)
    }
    #expect(ProcessStatus(parsing: text.replacing("Uid:\t0 0 0 0", with: "Uid:\t0")) == nil)
  }

  /// A stat line with the given name, flags (field 9), start time (22) and start of break (47).
  private func statLine(_ name: String, flags: String, start: String, brk: String) -> String {
    var fields = (3...52).map(String.init)
    fields[0] = "S"
    fields[9 - 3] = flags
    fields[22 - 3] = start
    fields[47 - 3] = brk
    return "4711 (\(name)) " + fields.joined(separator: " ") + "\n"
  }

  @Test(
    "stat is read whatever the process is called",
    arguments: ["cat", "a b", "x) R 1 2 3 (", "))", "((", "", "new\nline"])
  func stat(name: String) throws {
    let line = statLine(name, flags: "4194560", start: "123456", brk: "94000000000000")
    let stat = try #require(ProcessStat(parsing: line))
    #expect(stat.state == "S" && !stat.isKernelThread && stat.startTime == 123_456)
    #expect(stat.startBreak == RemoteAddress(94_000_000_000_000))
  }

  @Test("a kernel thread and a hidden break are told, a short line is none")
  func statOdd() throws {
    let line = statLine("kworker/0:1", flags: "69238880", start: "1", brk: "0")
    let stat = try #require(ProcessStat(parsing: line))
    #expect(stat.isKernelThread && stat.startBreak == nil)
    #expect(ProcessStat(parsing: "4711 (cat) S 1 2 3") == nil)
    #expect(ProcessStat(parsing: "4711 cat S") == nil)
    #expect(ProcessStat(parsing: "") == nil)
  }

  @Test("arguments end with a zero byte each, empty ones included")
  func arguments() {
    #expect(ProcText.arguments([]) == [])
    #expect(ProcText.arguments(Array("a\0".utf8)) == ["a"])
    #expect(ProcText.arguments(Array("a b\0\0c\0".utf8)) == ["a b", "", "c"])
    // A program that wrote a title over its arguments leaves no end.
    #expect(ProcText.arguments(Array("nginx: worker".utf8)) == ["nginx: worker"])
  }

  @Test("the mark of a deleted executable is taken off")
  func deletedMark() {
    #expect(ProcText.withoutDeletedMark("/bin/a (deleted)") == ("/bin/a", true))
    #expect(ProcText.withoutDeletedMark("/bin/a b") == ("/bin/a b", false))
    #expect(ProcText.withoutDeletedMark("") == ("", false))
  }
}
