// The first rows: who is watched, the totals with their change, what watching costs.

import HeapAnalysis
import HeapModel
import Reports
import TerminalUI

extension WatchView {
  mutating func drawHeader(rows: Int) {
    guard let report = history.latest, let figures = history.figures else {
      let what = state.end == nil ? "the first sample is being taken" : "no sample was taken"
      buffer.put("process \(state.pid): \(what)", row: 0, column: 0)
      return
    }
    drawTitle(report.target)
    var groups: [[Piece]] = []
    // On a small screen what matters most comes first.
    groups.append(total("in use", figures.inUse.bytes, .inUse, isStrong: true))
    if isNarrow {
      if state.stretchedInterval != nil { groups.append(pace) }
      groups += memory(figures)
      groups += parts(figures)
      groups.append(stopped)
      flow(groups, rows: 1..<rows)
      return
    }
    groups += parts(figures)
    flow(groups, rows: 1..<2)
    var kernel = memory(figures)
    if let age = figures.memory.age {
      kernel.append([Piece(text: "up ", style: .faint), Piece(text: Figures.clock(age))])
    }
    if rows == 3, state.stretchedInterval != nil { kernel.insert(pace, at: 0) }
    flow(kernel, rows: 2..<3)
    flow([stopped, pace], rows: 3..<rows)
  }

  private var isNarrow: Bool { buffer.columns < 60 }
  private var isWide: Bool { buffer.columns >= 120 }

  /// Who is watched, and for how long.
  private mutating func drawTitle(_ target: TargetFacts) {
    let status = state.end != nil ? "ended" : state.isPaused ? "paused" : ""
    let right = (status.isEmpty ? "" : status + "  ") + Figures.clock(seconds: elapsed)
    let room = buffer.columns - TextWidth.columns(of: right) - 2
    var column = buffer.put(
      "\(target.pid) \(target.command)", row: 0, column: 0, style: .bold, limit: room)
    var pieces: [String] = []
    if let container = target.container {
      pieces.append("container \(container.id.prefix(12))")
    }
    if target.namespacedPid != target.pid { pieces.append("pid \(target.namespacedPid) inside") }
    pieces.append("glibc \(target.glibcVersion ?? "of unknown version")")
    pieces.append("\(target.threads) thread\(target.threads == 1 ? "" : "s")")
    if !target.executable.isEmpty { pieces.append(target.executable) }
    for piece in pieces where column + 2 + TextWidth.columns(of: piece) <= room {
      column = buffer.put(piece, row: 0, column: column + 2)
    }
    let style = status.isEmpty ? CellStyle.plain : CellStyle(.yellow, isBold: true)
    buffer.put(
      right, row: 0, column: buffer.columns - TextWidth.columns(of: right), style: style)
  }

  /// The time since the first sample; it stands still once there are no more.
  private var elapsed: Double {
    (state.end == nil ? max(now, history.latestTime) : history.latestTime) - history.firstTime
  }

  private func total(
    _ name: String, _ value: UInt64, _ figure: HeapFigure, isStrong: Bool = false
  ) -> [Piece] {
    var pieces = [
      Piece(text: name + " ", style: .faint),
      Piece(text: bytes(value), style: isStrong ? .bold : .plain),
    ]
    if let rate = history.rate(figure), abs(rate) >= 0.5 {
      pieces.append(
        Piece(
          text: " \(Figures.signed(bytes: rate))/s",
          style: CellStyle(rate > 0 ? .yellow : .green)))
    }
    return pieces
  }

  private func parts(_ figures: HeapFigures) -> [[Piece]] {
    [
      total("free", figures.free.bytes, .free), total("cached", figures.cached.bytes, .cached),
      total("top", figures.topBytes, .top), total("mmapped", figures.mmapped.bytes, .mmapped),
    ]
  }

  private func memory(_ figures: HeapFigures) -> [[Piece]] {
    var groups: [[Piece]] = []
    if let resident = figures.memory.residentBytes {
      groups.append(total("RSS", resident, .resident))
    }
    if let group = figures.memory.group {
      var pieces = total("cgroup", group.usedBytes, .group)
      if let limit = group.limitBytes { pieces.append(Piece(text: " of \(bytes(limit))")) }
      groups.append(pieces)
    }
    if let outside = figures.outsideBytes {
      groups.append(total("outside malloc", outside, .outside))
    }
    if let swapped = figures.memory.swappedBytes, swapped > 0 {
      groups.append([Piece(text: "swapped ", style: .faint), Piece(text: bytes(swapped))])
    }
    return groups
  }

  private var stopped: [Piece] {
    guard history.totalStop > .zero else { return [Piece(text: "never stopped", style: .faint)] }
    var text =
      "\(Figures.duration(history.longestStop)) at most, \(Figures.duration(history.totalStop)) in all"
    if let share = history.stoppedShare {
      text += ", \(Figures.percent(share))"
      // Else there is no room for the interval.
      if state.stretchedInterval == nil || isWide { text += " of the time" }
    }
    return [Piece(text: "stopped ", style: .faint), Piece(text: text)]
  }

  private var pace: [Piece] {
    guard state.end == nil else { return [] }
    if let stretched = state.stretchedInterval {
      let intervals = "\(Figures.seconds(stretched)), not \(Figures.seconds(state.interval))"
      let reason = isWide ? ": at most \(Figures.percent(state.mostStopped)) stopped" : ""
      return [
        Piece(
          text: (isNarrow ? "" : "every ") + intervals + reason, style: CellStyle(.yellow))
      ]
    }
    return [Piece(text: "every \(Figures.seconds(state.interval))")]
  }
}

extension Figures {
  static func clock(_ duration: Duration) -> String {
    clock(seconds: duration / .seconds(1))
  }
}
