// What is known of one thread while it is stopped.

/// One thread of the target, stopped.
package struct ThreadState: Hashable, Sendable {
  /// The machine whose registers these are: under an emulator, not that of the program's code.
  package var machine = ELFImage.Machine.native
  /// Its thread id in our PID namespace.
  package var tid: Int32
  /// Its thread pointer (`fs_base`, `tpidr_el0`), from which its thread-local variables are found.
  package var threadPointer: RemoteAddress
  /// Where it executes.
  package var programCounter: RemoteAddress
  /// Where its stack ends.
  package var stackPointer: RemoteAddress
  /// The system call that it is in, nil if it is in none or that is not known.
  package var systemCall: SystemCall?
  /// Its general registers, in no particular order.
  package var registers: [UInt64]

  /// A system call, as far as it tells whether malloc has made it.
  package enum SystemCall: Hashable, Sendable {
    /// One for the address space, as malloc makes them.
    case memory
    /// Waiting for the word at an address, nil if that is not known.
    case futex(RemoteAddress?)
    /// One that malloc does not make, or never without having locked the arena.
    case other
  }

  /// Makes a state.
  package init(
    tid: Int32, threadPointer: RemoteAddress, programCounter: RemoteAddress,
    stackPointer: RemoteAddress, registers: [UInt64] = [],
    systemCall: SystemCall? = nil
  ) {
    self.tid = tid
    self.threadPointer = threadPointer
    self.programCounter = programCounter
    self.stackPointer = stackPointer
    self.registers = registers
    self.systemCall = systemCall
  }
}
