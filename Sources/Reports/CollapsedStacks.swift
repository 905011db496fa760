// The heap as collapsed stacks, of which flame graphs are drawn.

package import HeapAnalysis
package import HeapModel

/// What the frames of a pseudo-stack are called.
struct TypeFrames {
  let binary: String
  let type: String
  let sizes: String

  init(_ stack: TypeStack) {
    binary = stack.type.binary?.fileName.printable ?? "(no file)"
    type = stack.type.name.printable
    sizes = "size \(Figures.sizes(stack.sizes))"
  }
}

/// Lines of `FILE;TYPE;SIZES BYTES`.
package enum CollapsedStacks {
  /// Writes the chunks in use that `pattern` wants; in a name a semicolon, which parts frames, becomes
  /// a colon.
  ///
  /// - Throws: what the sink throws.
  package static func write<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, pattern: TypePattern? = nil, to sink: inout Sink
  ) throws(Sink.Failure) {
    var buffer = OutputBuffer()
    for stack in TypeStack.all(of: report, pattern: pattern) {
      let frames = TypeFrames(stack)
      for name in [frames.binary, frames.type] {
        let semicolon = UInt8(ascii: ";")
        for byte in name.utf8 { buffer.append(byte == semicolon ? UInt8(ascii: ":") : byte) }
        buffer.append(semicolon)
      }
      buffer.append("\(frames.sizes) ")
      buffer.append(decimal: stack.held.bytes)
      buffer.append(UInt8(ascii: "\n"))
      try buffer.drainIfFull(into: &sink)
    }
    try buffer.drain(into: &sink)
  }
}
