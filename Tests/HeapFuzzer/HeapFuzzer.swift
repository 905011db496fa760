// The walker under clang's libFuzzer. Built by Tests/fuzz alone: MALLOSCOPE_FUZZER adds it to the
// manifest.

internal import CFuzzer
internal import Glibc
internal import HeapFuzzing

/// Runs the fuzzer, with libFuzzer's own options.
@main
struct HeapFuzzer {
  static func main() {
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
    let code = LLVMFuzzerRunDriver(&count, &arguments) { bytes, count in
      let input = [UInt8](UnsafeBufferPointer(start: bytes, count: count))
      let failures = FuzzedWalk(input).failures()
      // libFuzzer keeps the input of a run that traps.
      if !failures.isEmpty { fatalError(failures.joined(separator: "\n")) }
      return 0
    }
    exit(code)
  }
}
