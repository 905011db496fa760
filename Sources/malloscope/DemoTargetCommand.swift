// The hidden verb that is the demo's program: it leaks in a known pattern and waits.

import ArgumentParser
import Glibc

struct DemoTargetCommand: ParsableCommand {
  /// The verb's name, by which `demo` starts this program again.
  static let verb = "demo-target"

  static let configuration = CommandConfiguration(
    commandName: verb, abstract: "The program that demo looks at.", shouldDisplay: false)

  func run() throws {
    var threads: [pthread_t] = []
    for _ in 0..<DemoPattern.threads {
      var thread = pthread_t()
      let error = unsafe pthread_create(
        &thread, nil,
        { _ in
          DemoTargetCommand.plant()
          return nil
        }, nil)
      guard error == 0 else {
        throw Failure(code: .internalError, fact: "cannot start a thread (errno \(error))")
      }
      threads.append(thread)
    }
    for thread in threads { unsafe pthread_join(thread, nil) }
    let ready = Array("ready\n".utf8)
    _ = unsafe ready.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
    // Until the parent closes our input, or ends.
    var byte: UInt8 = 0
    while unsafe read(0, &byte, 1) > 0 {}
  }

  /// Allocates every pattern, and frees what is not kept. What is kept is leaked on purpose.
  private static func plant() {
    for pattern in DemoPattern.all {
      for index in 0..<pattern.allocated {
        guard let block = unsafe malloc(pattern.request) else { return }
        unsafe memset(block, 0x5a, min(pattern.request, 4096))
        if index % pattern.keepsOneOf != 0 { unsafe free(block) }
      }
    }
  }
}
