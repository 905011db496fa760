// Lines of text, with colour if the reader can see it, wrapped to a width.

/// What a piece of text means for the eye.
enum Tone {
  case plain
  case faint
  case strong
  case bar
  case warning
  case alarm

  /// The ANSI code that switches to it; "" for none.
  fileprivate var code: String {
    switch self {
    case .plain: ""
    case .faint: "\u{1B}[2m"
    case .strong: "\u{1B}[1m"
    case .bar: "\u{1B}[36m"
    case .warning: "\u{1B}[33m"
    case .alarm: "\u{1B}[1;31m"
    }
  }
}

/// A page of text in the making.
struct TextPage {
  let options: ReportOptions
  private(set) var text = ""

  init(_ options: ReportOptions) {
    self.options = options
  }

  /// `text` in `tone`, if colours are wanted.
  func toned(_ text: String, _ tone: Tone) -> String {
    guard options.style.usesColor, tone != .plain, !text.isEmpty else { return text }
    return tone.code + text + "\u{1B}[0m"
  }

  /// Bytes as the options want them: rounded or exact.
  func bytes(_ bytes: UInt64) -> String {
    options.showsExactBytes ? Figures.grouped(bytes) : Figures.rounded(bytes: bytes)
  }

  mutating func line(_ line: String = "") {
    text += line
    text += "\n"
  }

  /// Appends `pieces` joined by `separator` behind `label`, going on in a new line, indented by
  /// the label's length, where the next piece would not fit.
  mutating func paragraph(
    label: String = "", labelTone: Tone = .plain, _ pieces: [String], separator: String = ", "
  ) {
    let indent = String(repeating: " ", count: label.count)
    var current = ""
    var head = toned(label, labelTone)
    for (index, piece) in pieces.enumerated() {
      let isLast = index == pieces.count - 1
      let joined = isLast ? piece : piece + separator
      let width = columns(of: indent + current + (isLast ? piece : trimmed(joined)))
      if !current.isEmpty, width > options.columns {
        line(head + trimmed(current))
        head = indent
        current = ""
      }
      current += joined
    }
    line(head + current)
  }

  /// Appends a sentence, broken between words.
  mutating func sentence(label: String, labelTone: Tone = .plain, _ text: String) {
    paragraph(
      label: label, labelTone: labelTone, text.split(separator: " ").map(String.init),
      separator: " ")
  }

  func write<Sink: ByteSink & ~Copyable>(to sink: inout Sink) throws(Sink.Failure) {
    var buffer = OutputBuffer()
    buffer.append(text)
    try buffer.drain(into: &sink)
  }

  /// Hands over what there is so far if much has gathered: call it once a line where there can be
  /// millions.
  mutating func drainIfFull<Sink: ByteSink & ~Copyable>(
    into sink: inout Sink
  ) throws(Sink.Failure) {
    guard text.utf8.count >= OutputBuffer.drainThreshold else { return }
    try write(to: &sink)
    text = ""
  }

  /// How many columns `text` takes: its characters without our own colour codes.
  private func columns(of text: String) -> Int {
    guard options.style.usesColor else { return text.count }
    var count = 0
    var isCode = false
    for character in text {
      if character == "\u{1B}" { isCode = true }
      if !isCode { count += 1 }
      if character == "m" { isCode = false }
    }
    return count
  }

  private func trimmed(_ text: String) -> String {
    var text = text[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}

extension String {
  /// The text without characters that could move the cursor, hide or reorder what is shown: those
  /// become `\u{..}`.
  var printable: String {
    var result = ""
    for scalar in unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
        .unassigned:
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default:
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// The text with its middle replaced by three dots if it is longer than `width`; of what stays, the
  /// beginning has the `share`.
  package func shortened(to width: Int, beginning share: Double = 1 / 3) -> String {
    guard count > width, width > 8 else { return self }
    let head = Int(Double(width - 3) * share)
    return prefix(head) + "..." + suffix(width - 3 - head)
  }

  /// The text with spaces before it up to `width`.
  func aligned(right width: Int) -> String {
    String(repeating: " ", count: max(0, width - count)) + self
  }

  /// The text with spaces after it up to `width`.
  func aligned(left width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
