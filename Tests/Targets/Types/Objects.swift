// Objects of Swift of every sort, each of which is announced with what it should be called.

import Glibc

class Session {
  var number = 1
}
final class Special: Session {
  var more = "text"
}
class Cell<Value> {
  var value: Value
  init(_ value: Value) { self.value = value }
}
final class SubCell<Other>: Cell<Int> {
  var other: Other
  init(_ other: Other) {
    self.other = other
    super.init(1)
  }
}
enum Space {
  final class Inner {}
}
struct Outer<First> {
  final class Inner<Second> {
    var both: (First, Second)?
  }
}
private final class Secret {
  var number = 2
}
extension Session {
  final class Nested {}
}
extension Array {
  final class Item {}
}
actor Account {
  var balance = 1
}
protocol Shape {}
struct Circle: Shape {}
struct Failure: Error {
  var code = 1
}
indirect enum Tree {
  case leaf
  case node(Tree, Int)
}

@_silgen_name("malloc_usable_size")
func usableSize(_ pointer: UnsafeMutableRawPointer) -> Int

// Kept for good: what is announced must be there when it is looked at.
nonisolated(unsafe) var kept: [Any] = []

func announce(_ pointer: UnsafeMutableRawPointer, _ name: String) {
  print("object \(pointer) \(usableSize(pointer)) \(name)")
}
func announce(_ address: UInt, _ name: String) {
  if let pointer = UnsafeMutableRawPointer(bitPattern: address) { announce(pointer, name) }
}
func announce(_ object: AnyObject, _ name: String) {
  kept.append(object)
  announce(Unmanaged.passUnretained(object).toOpaque(), name)
}
struct Kept {
  var closure: () -> Int
}
func announceContext(_ closure: @escaping () -> Int, _ name: String) {
  kept.append(Kept(closure: closure))
  // In a structure of its own, since a closure by itself is wrapped into another one on its way.
  let words = withUnsafeBytes(of: Kept(closure: closure)) {
    $0.load(fromByteOffset: 8, as: UInt.self)
  }
  announce(words, name)
}
@inline(never) func makeCounter(_ start: Int) -> () -> Int {
  var count = start
  return {
    count += 1
    return count
  }
}
@inline(never) func makeSum(_ number: Int, _ session: Session) -> () -> Int {
  return { number + session.number }
}
@inline(never) func makeError() -> any Error { Failure() }

@main struct Main {
  static func main() {
    announce(Session(), "Objects.Session")
    announce(Special(), "Objects.Special")
    announce(Cell(1), "Objects.Cell<Swift.Int>")
    announce(Cell("a"), "Objects.Cell<Swift.String>")
    announce(
      Cell([1: ["a"]]), "Objects.Cell<Swift.Dictionary<Swift.Int, Swift.Array<Swift.String>>>")
    announce(Cell((1, name: "a")), "Objects.Cell<(Swift.Int, name: Swift.String)>")
    announce(Cell(Optional(1.5)), "Objects.Cell<Swift.Optional<Swift.Double>>")
    announce(Cell(Circle() as any Shape), "Objects.Cell<Objects.Shape>")
    announce(Cell(1 as Any), "Objects.Cell<Any>")
    announce(Cell(Session() as AnyObject), "Objects.Cell<Swift.AnyObject>")
    announce(Cell(Int.self), "Objects.Cell<Swift.Int.Type>")
    announce(Cell(Session()), "Objects.Cell<Objects.Session>")
    announce(Cell(Cell(1)), "Objects.Cell<Objects.Cell<Swift.Int>>")
    announce(Cell({ (number: Int) -> String in "" }), "Objects.Cell<(Swift.Int) -> Swift.String>")
    announce(SubCell("a"), "Objects.SubCell<Swift.String>")
    announce(Space.Inner(), "Objects.Space.Inner")
    announce(Outer<Int>.Inner<String>(), "Objects.Outer<Swift.Int>.Inner<Swift.String>")
    announce(Secret(), "Objects.Secret")
    announce(Session.Nested(), "Objects.Session.Nested")
    announce(Array<Int>.Item(), "Swift.Array<Swift.Int>.Item")
    announce(Account(), "Objects.Account")
    let numbers = Array(1...Int(CommandLine.argc) + 5)
    kept.append(numbers)
    announce(
      unsafeBitCast(numbers, to: UInt.self),
      "Swift._ContiguousArrayStorage<Swift.Int>")
    let table = Dictionary(uniqueKeysWithValues: numbers.map { ($0, "\($0)") })
    kept.append(table)
    announce(
      unsafeBitCast(table, to: UInt.self),
      "Swift._DictionaryStorage<Swift.Int, Swift.String>")
    let text = String(repeating: "text", count: Int(CommandLine.argc) + 20)
    kept.append(text)
    let object = withUnsafeBytes(of: text) { $0.load(fromByteOffset: 8, as: UInt.self) }
    announce(
      object & 0x0FFF_FFFF_FFFF_FFFF, "Swift.__StringStorage")
    announceContext(makeCounter(1), "closure context or box (Swift.Int)")
    announceContext(makeSum(1, Session()), "closure context or box (Swift.Int, Objects.Session)")
    let error = makeError()
    kept.append(error)
    announce(
      unsafeBitCast(error, to: UInt.self),
      "Swift error Objects.Failure")
    let tree = Tree.node(.node(.leaf, 1), 2)
    kept.append(tree)
    announce(
      unsafeBitCast(tree, to: UInt.self),
      "closure context or box ((Objects.Tree, Swift.Int))")
    let task = Task { try? await Task.sleep(for: .seconds(86_400)) }
    kept.append(task)
    announce(unsafeBitCast(task, to: UInt.self), "Swift task")
    print("ready")
    fflush(stdout)
    _ = readLine()
    print(kept.count)
  }
}
