// What the process that keeps a clone says to the tool, one line each.

import HeapModel
import LinuxTarget

/// A line from the keeper.
enum KeeperMessage: Equatable {
  /// A thread of the target as it was.
  case thread(ThreadState)
  /// What could not be had as it should be.
  case finding(Finding)
  /// The length of a stop that was in vain.
  case earlierStop(Duration)
  /// The clone can be read.
  case ready(clone: Int32, threadCount: Int, stop: Duration, changed: Duration)
  /// There is no clone.
  case failed(CloneError)
  /// All is over: how long the target was stopped for it, and what is left of its clones.
  case ended(stop: Duration, left: [Int32])

  /// The line without its end.
  var line: String {
    switch self {
    case .thread(let thread):
      (["thread", "\(thread.tid)", Self.word(of: thread.systemCall)]
        + ([
          thread.threadPointer.bits, thread.programCounter.bits, thread.stackPointer.bits,
        ] + thread.registers).map { String($0, radix: 16) }).joined(separator: " ")
    case .finding(let finding):
      "finding \(finding.kind.rawValue) \(finding.detail)"
    case .earlierStop(let stop):
      "earlier \(stop.wholeNanoseconds)"
    case .ready(let clone, let threadCount, let stop, let changed):
      "ready \(clone) \(threadCount) \(stop.wholeNanoseconds) \(changed.wholeNanoseconds)"
    case .failed(let error):
      "failed \(error.line)"
    case .ended(let stop, let left):
      (["ended", "\(stop.wholeNanoseconds)"] + left.map(String.init)).joined(separator: " ")
    }
  }

  /// Reads a line, nil if it is none of these.
  init?(line: String) {
    let words = line.split(separator: " ")
    guard let kind = words.first else { return nil }
    let numbers = words.dropFirst().map { Int64($0) }
    func int32(_ index: Int) -> Int32? {
      numbers.indices.contains(index) ? numbers[index].flatMap { Int32(exactly: $0) } : nil
    }
    func duration(_ index: Int) -> Duration? {
      numbers.indices.contains(index) ? numbers[index].map { .nanoseconds($0) } : nil
    }
    switch kind {
    case "thread":
      let values = words.dropFirst(3).compactMap { UInt64($0, radix: 16) }
      guard let tid = int32(0), values.count >= 3, values.count == words.count - 3,
        let call = Self.systemCall(words[2])
      else { return nil }
      self = .thread(
        ThreadState(
          tid: tid, threadPointer: RemoteAddress(values[0]),
          programCounter: RemoteAddress(values[1]), stackPointer: RemoteAddress(values[2]),
          registers: Array(values[3...]), systemCall: call))
    case "finding":
      let parts = line.split(separator: " ", maxSplits: 2)
      guard parts.count == 3, let kind = Finding.Kind(rawValue: String(parts[1])) else {
        return nil
      }
      self = .finding(Finding(kind, at: nil, String(parts[2])))
    case "earlier":
      guard let stop = duration(0) else { return nil }
      self = .earlierStop(stop)
    case "ready":
      guard let clone = int32(0), let count = int32(1), let stop = duration(2),
        let changed = duration(3)
      else { return nil }
      self = .ready(clone: clone, threadCount: Int(count), stop: stop, changed: changed)
    case "failed":
      guard let error = CloneError(line: String(line.dropFirst("failed ".count))) else {
        return nil
      }
      self = .failed(error)
    case "ended":
      guard let stop = duration(0) else { return nil }
      let left = numbers.dropFirst().compactMap { $0.flatMap { Int32(exactly: $0) } }
      guard left.count == numbers.count - 1 else { return nil }
      self = .ended(stop: stop, left: left)
    default:
      return nil
    }
  }

  private static func word(of call: ThreadState.SystemCall?) -> String {
    switch call {
    case nil: "none"
    case .memory: "memory"
    case .other: "other"
    case .futex(let address): "futex" + (address.map { ":" + String($0.bits, radix: 16) } ?? "")
    }
  }

  /// The call that a word stands for, itself nil if it stands for none; nil for any other word.
  private static func systemCall(_ word: Substring) -> ThreadState.SystemCall?? {
    switch word {
    case "none": return .some(nil)
    case "memory": return .memory
    case "other": return .other
    case "futex": return .futex(nil)
    default:
      guard word.hasPrefix("futex:"), let address = UInt64(word.dropFirst(6), radix: 16) else {
        return nil
      }
      return .futex(RemoteAddress(address))
    }
  }
}

extension CloneError {
  /// The error as words, those the keeper can run into.
  var line: String {
    switch self {
    case .notStopped(.processEnded(let pid)): "process-ended \(pid)"
    case .notStopped(.attachRefused(let pid, let tid, let errno)):
      "attach-refused \(pid) \(tid) \(errno)"
    case .notStopped(.threadsUnreadable(let path, let errno)):
      "threads-unreadable \(errno) \(path)"
    case .notStopped(.interrupted(let signal)): "interrupted \(signal)"
    case .anotherProcess(let pid): "another-process \(pid)"
    case .unknownProcessor: "unknown-processor"
    case .threadNotStopped(let pid, let thread):
      "thread-not-stopped \(pid) \(thread.tid) \(thread.state.map(String.init) ?? "-") "
        + "\(thread.systemCall ?? -1)"
    case .threadsKeepAppearing(let pid): "threads-keep-appearing \(pid)"
    case .stoppedByJobControl(let pid): "stopped-by-job-control \(pid)"
    case .filtered(let pid, let tid): "filtered \(pid) \(tid)"
    case .noThread(let pid, let obstacle): "no-thread \(pid) \(obstacle.rawValue)"
    case .disturbed(let pid, let stops): "disturbed \(pid) \(stops)"
    case .refused(let pid, let errno): "refused \(pid) \(errno)"
    case .tooLittleMemory(let pid, let needed, let headroom):
      "too-little-memory \(pid) \(needed) \(headroom.available)"
    case .tooManyTasks(let pid, let headroom): "too-many-tasks \(pid) \(headroom.available)"
    case .keeperNotStarted(let call, let errno): "keeper-not-started \(errno) \(call)"
    case .keeperEnded(let pid): "keeper-ended \(pid)"
    case .keeperUnintelligible(let line): "keeper-unintelligible \(line)"
    case .notReaped(let pid, let clones):
      (["not-reaped"] + ([pid] + clones).map(String.init)).joined(separator: " ")
    }
  }

  /// Reads what `line` gives, for those errors that the keeper can run into; nil if it is another.
  init?(line: String) {
    let words = line.split(separator: " ").map(String.init)
    let numbers = words.dropFirst().compactMap { Int32($0) }
    switch (words.first, numbers.count) {
    case ("process-ended", 1): self = .notStopped(.processEnded(pid: numbers[0]))
    case ("attach-refused", 3):
      self = .notStopped(.attachRefused(pid: numbers[0], tid: numbers[1], errno: numbers[2]))
    case ("threads-unreadable", 1) where words.count >= 3:
      let path = words[2...].joined(separator: " ")
      self = .notStopped(.threadsUnreadable(path: path, errno: numbers[0]))
    case ("interrupted", 1): self = .notStopped(.interrupted(signal: numbers[0]))
    case ("another-process", 1): self = .anotherProcess(pid: numbers[0])
    case ("unknown-processor", 0): self = .unknownProcessor
    case ("thread-not-stopped", 3) where words.count == 5:
      self = .threadNotStopped(
        pid: numbers[0],
        UnstoppedThread(
          tid: numbers[1], state: words[3] == "-" ? nil : words[3].first,
          systemCall: numbers[2] < 0 ? nil : Int(numbers[2])))
    case ("threads-keep-appearing", 1): self = .threadsKeepAppearing(pid: numbers[0])
    case ("stopped-by-job-control", 1): self = .stoppedByJobControl(pid: numbers[0])
    case ("filtered", 2): self = .filtered(pid: numbers[0], tid: numbers[1])
    case ("no-thread", 1) where words.count == 3:
      guard let obstacle = Obstacle(rawValue: words[2]) else { return nil }
      self = .noThread(pid: numbers[0], obstacle)
    case ("disturbed", 2): self = .disturbed(pid: numbers[0], stops: Int(numbers[1]))
    case ("refused", 2): self = .refused(pid: numbers[0], errno: numbers[1])
    default: return nil
    }
  }
}
