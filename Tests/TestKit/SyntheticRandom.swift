// Repeatable randomness for synthetic heaps and for the damage done to them.

/// A generator whose whole sequence follows from its seed, so that a failing case can be repeated.
package struct SyntheticRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// Makes the generator of `seed`.
  package init(seed: UInt64) {
    state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 0x1234_5678_9abc_def1
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// A number from 0 up to but not including `bound`, which is at least 1.
  package mutating func below(_ bound: UInt64) -> UInt64 { next() % bound }

  /// An index into a collection of `count` elements.
  package mutating func index(_ count: Int) -> Int { Int(below(UInt64(count))) }

  /// Whether an event of probability `percent` in a hundred happens this time.
  package mutating func chance(_ percent: UInt64) -> Bool { below(100) < percent }

  /// A multiple of `step` from `low` to `high`, both of them multiples of `step`.
  package mutating func multiple(of step: UInt64, from low: UInt64, to high: UInt64) -> UInt64 {
    low + step * below((high - low) / step + 1)
  }

  /// One of `choices`, which is not empty.
  package mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[index(choices.count)]
  }
}
