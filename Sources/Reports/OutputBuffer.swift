// The bytes of a report that are not yet handed to its sink.

/// A growing buffer to which numbers and text are appended without a detour over strings.
struct OutputBuffer {
  /// A sink is served once this many bytes have gathered.
  static let drainThreshold = 64 << 10

  private(set) var bytes: [UInt8] = []

  init() {
    bytes.reserveCapacity(Self.drainThreshold + 4096)
  }

  mutating func append(_ byte: UInt8) {
    bytes.append(byte)
  }

  mutating func append(_ text: String) {
    bytes.append(contentsOf: text.utf8)
  }

  mutating func append(repeating byte: UInt8, count: Int) {
    for _ in 0..<max(0, count) { bytes.append(byte) }
  }

  /// Appends `number` in decimal, with spaces before it up to `width`.
  mutating func append(decimal number: UInt64, width: Int = 0) {
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var start = digits.count
    var rest = number
    repeat {
      start -= 1
      digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    } while rest > 0
    append(repeating: UInt8(ascii: " "), count: width - (digits.count - start))
    for index in start..<digits.count { bytes.append(digits[index]) }
  }

  /// Appends `number` in decimal.
  mutating func append(decimal number: Int) {
    if number < 0 { append(UInt8(ascii: "-")) }
    append(decimal: UInt64(number.magnitude))
  }

  /// Appends `number` as `0x` and hexadecimal digits, with spaces before it up to `width`.
  mutating func append(hexadecimal number: UInt64, width: Int = 0) {
    let digitCount = max(1, (UInt64.bitWidth - number.leadingZeroBitCount + 3) / 4)
    append(repeating: UInt8(ascii: " "), count: width - digitCount - 2)
    bytes.append(UInt8(ascii: "0"))
    bytes.append(UInt8(ascii: "x"))
    for index in stride(from: digitCount - 1, through: 0, by: -1) {
      let digit = UInt8(truncatingIfNeeded: number >> UInt64(4 * index)) & 0xF
      bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
    }
  }

  /// Hands the bytes over if many have gathered: call it once a row.
  mutating func drainIfFull<Sink: ByteSink & ~Copyable>(
    into sink: inout Sink
  ) throws(Sink.Failure) {
    if bytes.count >= Self.drainThreshold { try drain(into: &sink) }
  }

  /// Hands over all bytes.
  mutating func drain<Sink: ByteSink & ~Copyable>(into sink: inout Sink) throws(Sink.Failure) {
    guard !bytes.isEmpty else { return }
    try sink.write(bytes.span)
    bytes.removeAll(keepingCapacity: true)
  }
}
