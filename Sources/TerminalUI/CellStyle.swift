// How a piece of the screen is drawn, in the few ways that every terminal has.

/// How a cell is drawn.
package struct CellStyle: Hashable, Sendable {
  /// The colour of the character, as the terminal's user has chosen it.
  package enum Color: UInt8, Sendable {
    /// What the terminal draws with by default.
    case plain
    case red
    case green
    case yellow
    case blue
    case magenta
    case cyan
  }

  /// The colour of the character.
  package var color: Color
  /// Drawn stronger.
  package var isBold: Bool
  /// Drawn weaker.
  package var isFaint: Bool
  /// Drawn with the colours of character and ground exchanged.
  package var isReversed: Bool
  /// Drawn with a line under it.
  package var isUnderlined: Bool

  /// Makes a style; without arguments, the terminal's own.
  package init(
    _ color: Color = .plain, isBold: Bool = false, isFaint: Bool = false,
    isReversed: Bool = false, isUnderlined: Bool = false
  ) {
    self.color = color
    self.isBold = isBold
    self.isFaint = isFaint
    self.isReversed = isReversed
    self.isUnderlined = isUnderlined
  }

  /// The terminal's own style.
  package static let plain = CellStyle()
  /// Only bold.
  package static let bold = CellStyle(isBold: true)
  /// Only faint.
  package static let faint = CellStyle(isFaint: true)
  /// Only reversed.
  package static let reversed = CellStyle(isReversed: true)
  /// Only underlined.
  package static let underlined = CellStyle(isUnderlined: true)
}
