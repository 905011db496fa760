// How much memory a process has altogether, beside what malloc knows of.

/// The memory that a control group has used, and may use.
package struct GroupMemory: Hashable, Sendable {
  /// What is charged to it, in bytes.
  package var usedBytes: UInt64
  /// What may be charged at most, nil without a limit.
  package var limitBytes: UInt64?

  /// Makes figures.
  package init(usedBytes: UInt64, limitBytes: UInt64?) {
    self.usedBytes = usedBytes
    self.limitBytes = limitBytes
  }
}

/// What the kernel says of a process's memory at one moment; what it does not tell is nil.
package struct ProcessMemory: Hashable, Sendable {
  /// In memory, of whatever kind, in bytes (VmRSS).
  package var residentBytes: UInt64?
  /// Anonymous and in memory (RssAnon).
  package var anonymousBytes: UInt64?
  /// Anonymous and swapped out (VmSwap).
  package var swappedBytes: UInt64?
  /// The control group whose limit is nearest, or the innermost if none has a limit.
  package var group: GroupMemory?
  /// How long ago the process was started.
  package var age: Duration?

  /// Makes figures.
  package init(
    residentBytes: UInt64? = nil, anonymousBytes: UInt64? = nil, swappedBytes: UInt64? = nil,
    group: GroupMemory? = nil, age: Duration? = nil
  ) {
    self.residentBytes = residentBytes
    self.anonymousBytes = anonymousBytes
    self.swappedBytes = swappedBytes
    self.group = group
    self.age = age
  }
}
