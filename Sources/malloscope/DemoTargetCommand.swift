// The hidden verb that is the demo's program: it leaks in a known pattern and waits.

import ArgumentParser
import Glibc

struct DemoTargetCommand: ParsableCommand {
  /// The verb's name, by which `demo` starts this program again.
  static let verb = "demo-target"

  static let configuration = CommandConfiguration(
    commandName: verb, abstract: "The program that demo looks at.", shouldDisplay: false)

  func run() throws {
    var planted: [Int32] = [-1, -1]
    guard unsafe pipe(&planted) == 0 else {
      throw Failure(code: .internalError, fact: "cannot make a pipe (errno \(errno))")
    }
    let writer = planted[1]
    for _ in 0..<DemoPattern.threads {
      var thread = pthread_t()
      let error = pthread_create(
        &thread, nil,
        { argument in
          DemoTargetCommand.plant()
          DemoTargetCommand.report(to: Int32(Int(bitPattern: argument)))
          while true { pause() }
        }, UnsafeMutableRawPointer(bitPattern: Int(writer)))
      guard error == 0 else {
        throw Failure(code: .internalError, fact: "cannot start a thread (errno \(error))")
      }
    }
    for _ in 0..<DemoPattern.threads { Self.awaitByte(from: planted[0]) }
    Self.report(to: 1)
    // Until the parent closes our input, or ends.
    Self.awaitByte(from: 0)
  }

  /// Allocates every pattern, then frees what is not kept; the rest is leaked on purpose.
  private static func plant() {
    for pattern in DemoPattern.all {
      var blocks: [UnsafeMutableRawPointer] = []
      blocks.reserveCapacity(pattern.allocated)
      for _ in 0..<pattern.allocated {
        guard let block = malloc(pattern.request) else { return }
        memset(block, 0x5a, min(pattern.request, 4096))
        blocks.append(block)
      }
      for (index, block) in blocks.enumerated() where index % pattern.keepsOneOf != 0 {
        free(block)
      }
    }
  }

  private static func report(to descriptor: Int32) {
    var newline = UInt8(ascii: "\n")
    _ = write(descriptor, &newline, 1)
  }

  /// Returns after the next byte, or when there will be none.
  private static func awaitByte(from descriptor: Int32) {
    var byte: UInt8 = 0
    while read(descriptor, &byte, 1) < 0, errno == EINTR {}
  }
}
