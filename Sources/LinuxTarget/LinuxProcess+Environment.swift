// What a process was told by its environment when it was started.

extension LinuxProcess {
  /// The value of glibc's tunable `name`, such as `glibc.mem.tagging`, in the environment that the
  /// process was started with; nil if it is not there or may not be read.
  ///
  /// ld.so(8): `GLIBC_TUNABLES` is a list of `name=value` joined by colons, of which the last one counts.
  package func tunable(_ name: String) -> String? {
    guard let environment = try? proc.bytes(proc.path(pid, "environ")) else { return nil }
    let prefix = "GLIBC_TUNABLES="
    let list = environment.split(separator: 0).first { $0.starts(with: prefix.utf8) }
    let entries = String(decoding: list?.dropFirst(prefix.utf8.count) ?? [], as: UTF8.self)
    let entry = entries.split(separator: ":").last { $0.hasPrefix(name + "=") }
    return entry.map { String($0.dropFirst(name.utf8.count + 1)) }
  }

  /// Whether glibc was told to tag the memory that it gives out, which it does on aarch64 alone.
  package var isToldToTagMemory: Bool {
    // Bit 0 of a number that may be decimal, octal or hexadecimal: its last digit tells.
    tunable("glibc.mem.tagging")?.last.flatMap { Int(String($0), radix: 16) }.map { $0 % 2 == 1 }
      ?? false
  }
}
