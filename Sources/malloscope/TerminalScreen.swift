// The terminal that a watch draws on and takes its keys from.

import CPtrace
import Glibc
import TerminalUI

/// A terminal that is ours until it is closed, or until we end in whatever way.
struct TerminalScreen: ~Copyable {
  private static let input: Int32 = 0
  private static let output: Int32 = 1

  private var encoder: FrameEncoder
  private var decoder = KeyDecoder()
  /// Whether nobody is at the other end any more.
  private(set) var isGone = false

  /// Takes the terminal and shows an empty screen.
  ///
  /// - Throws: a failure if it cannot be had.
  init(usesColor: Bool) throws(Failure) {
    let leave = FrameEncoder.leave
    let result = unsafe leave.withCString { text in
      unsafe cpt_terminal_open(Self.input, Self.output, text, leave.utf8.count)
    }
    guard result == 0 else {
      throw Failure(
        code: .inputOutput, fact: "cannot set up the terminal (errno \(-result))",
        hints: ["print blocks instead: malloscope watch ... | cat"])
    }
    encoder = FrameEncoder(usesColor: usesColor)
    write(Array(FrameEncoder.enter.utf8))
  }

  deinit {
    _ = cpt_terminal_close()
  }

  /// Its size in cells, as far as it is known.
  var size: (columns: Int, rows: Int) {
    var columns: Int32 = 0
    var rows: Int32 = 0
    _ = unsafe cpt_terminal_size(Self.output, &columns, &rows)
    return (columns > 0 ? Int(columns) : 80, rows > 0 ? Int(rows) : 24)
  }

  /// Shows a frame, in one write.
  mutating func show(_ buffer: CellBuffer) {
    let bytes = encoder.encode(buffer)
    if !bytes.isEmpty { write(bytes) }
  }

  /// Draws the next frame whole.
  mutating func forget() {
    encoder.forget()
  }

  /// Gives it back, has us stopped like other programs by Ctrl-Z, and takes it again.
  mutating func suspend() {
    _ = cpt_terminal_suspend()
    _ = cpt_stop_ourselves()
    resume()
  }

  /// Takes it again after a stop of any kind.
  mutating func resume() {
    _ = cpt_terminal_resume()
    write(Array(FrameEncoder.enter.utf8))
    encoder.forget()
  }

  /// Waits for keys, for `event`, or until `deadline` in seconds of `WatchClock`, and returns the keys.
  mutating func keys(event: Int32, until deadline: Double) -> [Key] {
    // An escape key looks like the beginning of what other keys send, until nothing follows.
    let patience = decoder.isWaiting ? 0.05 : .infinity
    let left = max(0, min(deadline - WatchClock.now, patience, 3600))
    var entries = [
      cpt_poll_entry(fd: Self.input, wants_readable: 1, readable: 0, hung_up: 0),
      cpt_poll_entry(fd: event, wants_readable: 1, readable: 0, hung_up: 0),
    ]
    let count = cpt_poll(&entries, Int32(entries.count), Int64(left * 1e9))
    if entries[1].readable != 0 { cpt_wait_event(event) }
    if entries[0].readable != 0 || entries[0].hung_up != 0 {
      var bytes = [UInt8](repeating: 0, count: 1024)
      let read = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe cpt_read(Self.input, buffer.baseAddress, buffer.count)
      }
      guard read > 0 else {
        isGone = true
        return []
      }
      return decoder.keys(from: Array(bytes.prefix(Int(read))))
    }
    return count == 0 && decoder.isWaiting ? decoder.finish() : []
  }

  private mutating func write(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty, !isGone {
      let count = unsafe rest.withUnsafeBytes {
        unsafe Glibc.write(Self.output, $0.baseAddress, $0.count)
      }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if cpt_interrupted() != 0 {
        // A terminal that takes no more must not keep us.
        isGone = true
      } else if errno == EAGAIN {
        cpt_pause(5_000_000)
      } else if errno != EINTR {
        isGone = true
      }
    }
  }
}
