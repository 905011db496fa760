// What the sequences that terminals send for keys mean.

/// The tables of xterm, VT220, the Linux console, tmux and rxvt.
enum KeySequences {
  /// The key of a control sequence (ECMA-48: ESC [, parameters, final byte), or nil for none.
  static func key(parameters: ArraySlice<UInt8>, final: UInt8) -> Key? {
    // Reports, and the mouse in one of its forms, begin with one of < = > ?.
    if let first = parameters.first, (0x3C...0x3F).contains(first) { return nil }
    let number = leadingNumber(parameters)
    switch final {
    case UInt8(ascii: "~"), UInt8(ascii: "^"), UInt8(ascii: "$"), UInt8(ascii: "@"):
      return number.flatMap(key(numbered:))
    case UInt8(ascii: "Z"):
      return .backTab
    case UInt8(ascii: "R") where number != nil && number != 1:
      // Where the cursor is.
      return nil
    default:
      return key(lettered: final)
    }
  }

  /// The key of a sequence that begins with SS3 (ESC O).
  static func key(shiftedThree final: UInt8) -> Key? {
    switch final {
    case UInt8(ascii: "M"): .enter
    case UInt8(ascii: "I"): .tab
    case UInt8(ascii: " "): .character(" ")
    case UInt8(ascii: "X"): .character("=")
    // The keypad's * + , - . / and digits.
    case UInt8(ascii: "j")...UInt8(ascii: "y"):
      .character(Character(Unicode.Scalar(final - 0x40)))
    default: key(lettered: final)
    }
  }

  /// The function keys of the Linux console: ESC [ [ and a letter.
  static func key(linuxConsole letter: UInt8) -> Key? {
    guard (UInt8(ascii: "A")...UInt8(ascii: "E")).contains(letter) else { return nil }
    return .function(Int(letter - UInt8(ascii: "A")) + 1)
  }

  private static func key(lettered final: UInt8) -> Key? {
    switch final {
    // Small letters: rxvt with Shift or Control.
    case UInt8(ascii: "A"), UInt8(ascii: "a"): .up
    case UInt8(ascii: "B"), UInt8(ascii: "b"): .down
    case UInt8(ascii: "C"), UInt8(ascii: "c"): .right
    case UInt8(ascii: "D"), UInt8(ascii: "d"): .left
    case UInt8(ascii: "H"): .home
    case UInt8(ascii: "F"): .end
    case UInt8(ascii: "P")...UInt8(ascii: "S"): .function(Int(final - UInt8(ascii: "P")) + 1)
    default: nil
    }
  }

  private static func key(numbered number: Int) -> Key? {
    switch number {
    case 1, 7: .home
    case 2: .insert
    case 3: .delete
    case 4, 8: .end
    case 5: .pageUp
    case 6: .pageDown
    case 11...15: .function(number - 10)
    case 17...21: .function(number - 11)
    case 23...26: .function(number - 12)
    case 28, 29: .function(number - 13)
    case 31...34: .function(number - 14)
    default: nil
    }
  }

  /// The number before the first byte that is no digit; nil if there is none or it is too great.
  private static func leadingNumber(_ parameters: ArraySlice<UInt8>) -> Int? {
    let digits = parameters.prefix { (0x30...0x39).contains($0) }
    guard (1...4).contains(digits.count) else { return nil }
    return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
  }
}
