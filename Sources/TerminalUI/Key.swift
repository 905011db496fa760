// What a user can press.

/// A key, or a character that several keys make.
///
/// Shift, Alt and Control change no key that has a name; only Control makes characters others.
package enum Key: Hashable, Sendable {
  case character(Character)
  /// Control with a small letter or one of `@[\]^_`; those that are a key of their own are that.
  case control(Character)
  case up
  case down
  case left
  case right
  case pageUp
  case pageDown
  case home
  case end
  case insert
  case delete
  case backspace
  case enter
  case escape
  case tab
  case backTab
  case function(Int)
}
