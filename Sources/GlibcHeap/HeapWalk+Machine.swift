// What is special where the program's code is not for x86-64: other machines' code that an emulator runs,
// of whose threads the kernel knows the emulator's registers, and tagged memory.

import HeapModel

extension HeapWalk {
  /// Takes over the process's threads as they are in the present stop.
  mutating func setThreads(_ all: [ThreadState]) {
    allThreads = all
    threads = all.filter { $0.machine == instance.machine }
  }

  /// Whether the process has threads, but none whose registers belong to this malloc's code.
  var isEmulated: Bool { threads.isEmpty && !allThreads.isEmpty }

  /// Says what that means for the result.
  mutating func reportEmulation() {
    guard isEmulated, !isLive else { return }
    let caches =
      instance.parametersLayout.tcacheBins == nil
      ? "whether one of them was inside malloc is not known"
      : "their caches were told by what they hold, and empty ones count as in use"
    log.add(
      .threadUnknown, at: nil,
      "\(instance.path) is code for \(instance.machine.name), run by an emulator: its threads' "
        + "registers are not known; \(caches)")
  }

  /// Whether malloc, whose main arena is `main`, tags what it gives out.
  ///
  /// Told to do so, it does where the processor can, and then never uses the program break (aarch64, 2.33
  /// to 2.43; the code is gone from 2.44).
  func isTaggingMemory(main: Arena) -> Bool {
    guard options.tagsMemory, instance.machine == .arm64, !main.isContiguous else { return false }
    let minor = instance.glibcVersion.flatMap { Int($0.dropFirst(2).prefix { $0.isNumber }) }
    return minor.map { (33...43).contains($0) } ?? true
  }
}
