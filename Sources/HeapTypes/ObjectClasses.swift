// Which of the types are objects of C++ classes, so that their sizes can be compared.

/// The types that stand for objects of C++ classes, by their numbers.
struct ObjectClasses {
  /// The meaning of the pointer that makes a type, 0 if the type is no class's.
  private var meanings: [UInt32] = []
  private var places: [UInt8] = []

  /// How many numbers of types there are.
  var count: Int { meanings.count }

  /// Notes that type `number` is made by a pointer with meaning `meaning` at `place`.
  mutating func note(_ number: UInt32, meaning: Int, place: Int) {
    guard place < PointerPlace.words else { return }
    while meanings.count <= Int(number) {
      meanings.append(0)
      places.append(0)
    }
    meanings[Int(number)] = UInt32(truncatingIfNeeded: meaning)
    places[Int(number)] = UInt8(truncatingIfNeeded: place)
  }

  /// Whether type `number` is a class's object, or a chunk with one in it.
  @inline(__always)
  func isClass(_ number: UInt32) -> Bool {
    Int(number) < meanings.count && meanings[Int(number)] != 0
  }

  /// The meaning that makes type `number`, and where in the chunk its pointer stands.
  func origin(of number: UInt32) -> (meaning: Int, place: Int) {
    (Int(meanings[Int(number)]), Int(places[Int(number)]))
  }
}
