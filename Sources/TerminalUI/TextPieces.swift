// A text cut into what each goes into one cell, made harmless on the way.

/// The pieces of a text, each of one or two columns, with the marks that are drawn over it.
///
/// Marks without a character before them are left out, and those beyond the sixth over one.
struct TextPieces: Sequence, IteratorProtocol {
  struct Piece: Equatable {
    var text: String
    var columns: Int
  }

  private var scalars: String.UnicodeScalarView.Iterator
  /// One that was read to see whether it belongs to the piece before.
  private var pending: Unicode.Scalar?
  private static let greatestMarkCount = 6

  init(_ text: String) {
    scalars = text.unicodeScalars.makeIterator()
  }

  mutating func next() -> Piece? {
    while let scalar = take() {
      switch TextWidth.treatment(of: scalar) {
      case .mark, .omitted:
        continue
      case .replaced:
        return Piece(text: "?", columns: 1)
      case .shown(let columns):
        return piece(startingWith: scalar, columns: columns)
      }
    }
    return nil
  }

  private mutating func take() -> Unicode.Scalar? {
    defer { pending = nil }
    return pending ?? scalars.next()
  }

  private mutating func piece(startingWith first: Unicode.Scalar, columns: Int) -> Piece {
    var piece = Piece(text: String(first), columns: columns)
    var markCount = 0
    var waitsForFlag = TextWidth.isRegionalIndicator(first)
    while let scalar = take() {
      if waitsForFlag, TextWidth.isRegionalIndicator(scalar) {
        // Where flags are not known, the letters stand side by side: two columns as well.
        piece.text.unicodeScalars.append(scalar)
        piece.columns = 2
        waitsForFlag = false
        continue
      }
      // The tone of a hand's skin. Many terminals would give it two columns of its own.
      if scalar.properties.isEmojiModifier, first.properties.isEmojiModifierBase { continue }
      switch TextWidth.treatment(of: scalar) {
      case .mark:
        markCount += 1
        if markCount <= Self.greatestMarkCount { piece.text.unicodeScalars.append(scalar) }
      case .omitted:
        continue
      case .shown, .replaced:
        pending = scalar
        return piece
      }
    }
    return piece
  }
}
