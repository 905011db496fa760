// A snapshot with where it comes from and what taking it cost: what the reports print.

/// The container that a process runs in.
package struct ContainerIdentity: Hashable, Sendable {
  /// The container's id as its engine gave it.
  package var id: String
  /// The Kubernetes pod's uid, with dashes.
  package var podUID: String?

  /// Makes an identity.
  package init(id: String, podUID: String?) {
    self.id = id
    self.podUID = podUID
  }
}

/// The process that was looked at.
package struct TargetFacts: Hashable, Sendable {
  /// Its process id in our PID namespace.
  package var pid: Int32
  /// Its process id in its own PID namespace.
  package var namespacedPid: Int32
  /// Its command name (`comm`).
  package var command: String
  /// The path of its executable as the kernel gives it, empty if it cannot be read.
  package var executable: String
  /// How many threads it had.
  package var threads: Int
  /// The glibc version that the library itself states, nil if it states none (static programs).
  package var glibcVersion: String?
  /// Which layout its arenas were read with: A, B, C or D.
  package var arenaLayout: String
  /// Its container, if it runs in one.
  package var container: ContainerIdentity?
  /// What was decided about its mallocs, and by which evidence.
  package var evidence: [LayoutEvidence]

  /// Makes the facts.
  package init(
    pid: Int32, namespacedPid: Int32, command: String, executable: String, threads: Int,
    glibcVersion: String?, arenaLayout: String, container: ContainerIdentity?,
    evidence: [LayoutEvidence] = []
  ) {
    self.pid = pid
    self.namespacedPid = namespacedPid
    self.command = command
    self.executable = executable
    self.threads = threads
    self.glibcVersion = glibcVersion
    self.arenaLayout = arenaLayout
    self.container = container
    self.evidence = evidence
  }
}

/// How the heap was captured and what that cost the target.
package struct CaptureFacts: Hashable, Sendable {
  /// How the target was treated.
  package enum Mode: String, Sendable {
    /// One stop in which everything was read.
    case stop
    /// Several stops within a budget, between which the target ran.
    case slices
    /// A copy of the target, made by the kernel in one stop, was read.
    case fork
    /// It was read while it ran.
    case live
  }
  /// How the parts of the result agree in time.
  package enum Consistency: String, Sendable {
    /// All of one moment.
    case atomic
    /// Each stop's part of one moment.
    case sliced
    /// Each word of a moment of its own.
    case live
  }

  /// How the target was treated.
  package var mode: Mode
  /// How the parts of the result agree in time.
  package var consistency: Consistency
  /// How often it was stopped.
  package var stops: Int
  /// The longest stop, from the first thread's interruption to the last one's release.
  package var longestStop: Duration
  /// All stops together.
  package var totalStop: Duration
  /// From the first look at the process to the end of the walk.
  package var elapsed: Duration
  /// Bytes that were read: out of the target while it was stopped, out of its copy, or out of it
  /// while it ran.
  package var copiedBytes: UInt64
  /// How often a part could not go on where the one before had ended, because chunks had moved there.
  package var resynchronisations: Int
  /// How many of the stops were ended at once, because a thread was inside malloc.
  package var retries: Int

  /// Makes the facts.
  package init(
    mode: Mode, consistency: Consistency, stops: Int, longestStop: Duration, totalStop: Duration,
    elapsed: Duration, copiedBytes: UInt64, resynchronisations: Int = 0, retries: Int = 0
  ) {
    self.mode = mode
    self.consistency = consistency
    self.stops = stops
    self.longestStop = longestStop
    self.totalStop = totalStop
    self.elapsed = elapsed
    self.copiedBytes = copiedBytes
    self.resynchronisations = resynchronisations
    self.retries = retries
  }
}

/// Everything that a report needs.
package struct HeapReport: Sendable {
  /// The process that was looked at.
  package var target: TargetFacts
  /// How it was captured.
  package var capture: CaptureFacts
  /// What was found.
  package var snapshot: HeapSnapshot
  /// Which pages of the heap are in memory, if that was asked for.
  package var residency: ResidencyMap?
  /// The process's private anonymous memory that it can read and write, malloc's or not, as mapped
  /// just before the heap was read, in bytes; nil if that is not known.
  package var mappedDataBytes: UInt64?
  /// What the chunks hold, if that was asked for.
  package var held: HeldTypes?

  /// Makes a report.
  package init(
    target: TargetFacts, capture: CaptureFacts, snapshot: HeapSnapshot,
    residency: ResidencyMap? = nil, mappedDataBytes: UInt64? = nil
  ) {
    self.target = target
    self.capture = capture
    self.snapshot = snapshot
    self.residency = residency
    self.mappedDataBytes = mappedDataBytes
  }
}
