// What threads that are stopped inside malloc are about to write.

/// What the threads that were inside malloc had in their hands in one stop.
struct Hands: Sendable {
  /// In which stop.
  let moment: Int
  /// What is in registers, or on a stack.
  let words: Set<UInt64>
  /// The registers of each thread.
  let registers: [[UInt64]]
  /// What can be the size of a chunk, ascending, and whether it is in a register.
  let sizes: [(size: UInt64, isInRegister: Bool)]

  init(moment: Int, words: Set<UInt64>, registers: [[UInt64]]) {
    self.moment = moment
    self.words = words
    self.registers = registers
    let inRegisters = Set(registers.joined().map { $0 & ~7 })
    sizes = Set(words.map { $0 & ~7 }).filter(Self.isSize).sorted()
      .map { ($0, inRegisters.contains($0)) }
  }

  /// Whether `word` can be the size of a chunk, and is no address.
  static func isSize(_ word: UInt64) -> Bool { word & 15 == 0 && word >= 32 && word < 1 << 32 }
}
