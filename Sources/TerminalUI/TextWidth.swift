// How many columns a terminal gives to text, and what of a text may reach a terminal at all.

/// How many columns text takes.
///
/// East Asian wide characters and emoji take two; combining marks none. A control or format
/// character, which could move the cursor or turn the reading direction, is shown as `?`.
package enum TextWidth {
  /// The columns of all of `text`.
  package static func columns(of text: String) -> Int {
    TextPieces(text).reduce(0) { $0 + $1.columns }
  }

  /// The columns of one character.
  package static func columns(of character: Character) -> Int {
    columns(of: String(character))
  }

  /// What becomes of one Unicode scalar.
  enum Treatment: Equatable {
    /// It is shown and takes so many columns.
    case shown(columns: Int)
    /// It is drawn over the character before.
    case mark
    /// It is left out: it changes only how another one looks, and terminals disagree how wide then.
    case omitted
    /// It is shown as a question mark.
    case replaced
  }

  static func treatment(of scalar: Unicode.Scalar) -> Treatment {
    let value = scalar.value
    if value >= 0x20, value < 0x7F { return .shown(columns: 1) }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
      .unassigned:
      return .replaced
    case .nonspacingMark, .enclosingMark:
      // Variation selectors and their like.
      return scalar.properties.isDefaultIgnorableCodePoint ? .omitted : .mark
    default:
      break
    }
    // The vowels and final consonants of conjoining Hangul stand within the first letter.
    if (0x1160...0x11FF).contains(value) || (0xD7B0...0xD7FB).contains(value) { return .mark }
    return .shown(columns: isWide(scalar) ? 2 : 1)
  }

  /// Whether East_Asian_Width is Wide or Fullwidth (Unicode Standard Annex 11), or it is an emoji.
  private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
    let value = scalar.value
    guard value >= 0x1100 else { return false }
    if wideRanges.contains(where: { $0.contains(value) }) { return true }
    return scalar.properties.isEmojiPresentation && !isRegionalIndicator(scalar)
  }

  /// The wide ranges that are not emoji; unassigned places between them do not matter.
  private static let wideRanges: [ClosedRange<UInt32>] = [
    0x1100...0x115F,  // Hangul initial consonants
    0x2329...0x232A,  // angle brackets
    0x2E80...0x303E,  // radicals, punctuation
    0x3041...0x4DBF,  // kana, enclosed letters, ideographs
    0x4E00...0xA4CF,  // ideographs, Yi
    0xA960...0xA97C,  // more Hangul initial consonants
    0xAC00...0xD7A3,  // Hangul syllables
    0xF900...0xFAFF,  // compatibility ideographs
    0xFE10...0xFE19,  // vertical punctuation
    0xFE30...0xFE6F,  // compatibility and small forms
    0xFF01...0xFF60,  // fullwidth forms
    0xFFE0...0xFFE6,  // fullwidth signs
    0x16FE0...0x18DFF,  // Tangut, Khitan
    0x1AFF0...0x1B2FF,  // kana supplements, Nushu
    0x1F200...0x1F2FF,  // enclosed ideographs
    0x20000...0x3FFFD,  // ideographs
  ]

  /// Whether it is a letter of which two make a flag.
  static func isRegionalIndicator(_ scalar: Unicode.Scalar) -> Bool {
    (0x1F1E6...0x1F1FF).contains(scalar.value)
  }
}
