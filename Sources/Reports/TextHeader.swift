// The first lines of every text report: which process, how much, and what looking cost it.

import HeapAnalysis
import HeapModel

extension TextPage {
  /// Appends who was looked at.
  mutating func addTarget(_ target: TargetFacts) {
    let name = "\(target.pid) \(target.command.printable)"
    var pieces: [String] = [toned(name, .strong)]
    if !target.executable.isEmpty {
      let room = options.isVerbose ? Int.max : max(12, options.columns - name.count - 4)
      pieces[0] += " (\(target.executable.printable.shortened(to: room)))"
    }
    pieces.append("glibc \(target.glibcVersion?.printable ?? "of unknown version")")
    if options.isVerbose { pieces.append("arena layout \(target.arenaLayout.printable)") }
    pieces.append(counted(target.threads, "thread"))
    if let container = target.container {
      let id = container.id.printable
      pieces.append("container \(options.isVerbose ? id : String(id.prefix(12)))")
      if let pod = container.podUID { pieces.append("pod \(pod.printable)") }
    }
    if target.namespacedPid != target.pid { pieces.append("pid \(target.namespacedPid) inside") }
    paragraph(pieces)
  }

  /// Appends what the heap holds in all and what the capture cost.
  mutating func addTotals(_ report: HeapReport) {
    let snapshot = report.snapshot
    let inUse = snapshot.inUse
    let figures = [inUse.bytes, snapshot.free.bytes, snapshot.cached.bytes].map(bytes)
    let width = figures.map(\.count).max() ?? 0
    var held = ["\(figures[0].aligned(right: width)) in \(counted(inUse.count, "chunk"))"]
    if snapshot.mmapped.count > 0 {
      held.append(
        "\(bytes(snapshot.mmapped.bytes)) of it mmapped in \(Figures.grouped(snapshot.mmapped.count))"
      )
    }
    paragraph(label: "in use   ", labelTone: .faint, held)

    var idle = ["\(figures[1].aligned(right: width)) in \(counted(snapshot.free.count, "chunk"))"]
    if let fragmentation = snapshot.fragmentation {
      idle.append("fragmentation \(Figures.percent(fragmentation))")
    }
    paragraph(label: "free     ", labelTone: .faint, idle)
    paragraph(
      label: "cached   ", labelTone: .faint,
      [
        "\(figures[2].aligned(right: width)) in \(counted(snapshot.cached.count, "chunk"))",
        "top \(bytes(snapshot.topBytes))",
      ])
    addCapture(report)
    if options.isVerbose { addInternals(snapshot) }
  }

  /// Appends how long the target was stopped, and for what.
  mutating func addCapture(_ report: HeapReport) {
    let capture = report.capture
    var pieces: [String] = []
    if capture.stops == 0 {
      let isFrozen = capture.consistency == .atomic
      pieces = ["never", isFrozen ? "it was frozen" : "read while it ran"]
    } else if capture.stops == 1 {
      pieces = [Figures.duration(capture.longestStop)]
    } else {
      pieces = [
        "\(Figures.duration(capture.longestStop)) at most",
        "\(Figures.duration(capture.totalStop)) in \(counted(capture.stops, "stop"))",
      ]
    }
    if capture.mode == .fork { pieces.append("read from a clone") }
    pieces.append("\(bytes(capture.copiedBytes)) copied")
    if options.isVerbose || capture.stops > 1 && capture.mode == .slices {
      pieces.append("\(Figures.duration(capture.elapsed)) from start to end")
    }
    if options.isVerbose, capture.retries > 0 {
      pieces.append("\(counted(capture.retries, "stop")) ended at once (inside malloc)")
    }
    if report.snapshot.coverage < 1 {
      let coverage = Figures.coverage(report.snapshot.coverage)
      pieces.append(toned("only \(coverage) of the heap covered", .warning))
    }
    paragraph(label: "stopped  ", labelTone: .faint, pieces)
  }

  /// Appends a table of the copies of malloc, if there are several; nothing else tells their mmapped
  /// chunks apart, so that those are as each counts its own.
  mutating func addMallocs(_ snapshot: HeapSnapshot) {
    guard snapshot.mallocs.count > 1 else {
      guard let malloc = snapshot.mallocs.first, malloc.copies > 1 else { return }
      let file = malloc.path.printable
      return sentence(
        label: "malloc   ", labelTone: .faint,
        "copy \(malloc.index) of \(malloc.copies) alone, that of \(file)")
    }
    var table = TextTable(
      [("malloc", .right), ("glibc", .left), ("arenas", .right)]
        + ["system", "in use", "free", "cached", "mmapped"].map { ($0, .right) }
        + [("file", .left)])
    // The file is the last column, shortened to what the others leave.
    let room = max(16, options.columns - 64)
    for malloc in snapshot.mallocs {
      let arenas = snapshot.arenas(of: malloc)
      func sum(_ bytes: (ArenaSummary) -> UInt64) -> TextTable.Cell {
        cell(arenas.reduce(0) { $0 &+ bytes($1) })
      }
      let file =
        options.isVerbose ? malloc.path.printable : malloc.path.printable.shortened(to: room)
      table.add([
        .init(String(malloc.index)), .init(malloc.glibcVersion?.printable ?? "?"),
        .init(arenas.isEmpty ? "-" : Figures.grouped(arenas.count)), sum(\.systemBytes),
        sum(\.inUse.bytes), sum(\.free.bytes), sum(\.cached.bytes),
        cell(malloc.mmapped.bytes), .init(file, .faint),
      ])
    }
    line()
    line("\(snapshot.mallocs.count) copies of glibc's malloc; all other figures are their sums")
    table.write(to: &self)
  }

  /// What glibc keeps for itself, by which the totals add up to what it got from the kernel.
  private mutating func addInternals(_ snapshot: HeapSnapshot) {
    func sum(_ bytes: (ArenaSummary) -> UInt64) -> String {
      self.bytes(snapshot.arenas.reduce(0) { $0 &+ bytes($1) })
    }
    let structures = snapshot.arenas.reduce(into: Tally()) { $0 += $1.tcacheStructures }
    paragraph(
      label: "system   ", labelTone: .faint,
      [
        "\(bytes(snapshot.systemBytes)) in \(counted(snapshot.arenas.count, "arena"))",
        "\(bytes(structures.bytes)) in \(counted(structures.count, "tcache structure"))",
        "\(sum(\.headerBytes)) headers", "\(sum(\.foreignBytes)) foreign",
        "\(sum(\.unaccountedBytes)) unaccounted",
      ])
  }
}

/// A count with its noun in the right number.
func counted(_ count: Int, _ noun: String) -> String {
  "\(Figures.grouped(count)) \(noun)\(count == 1 ? "" : "s")"
}
