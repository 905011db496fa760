// What real Swift programs hold.

import HeapModel
import HeapTypes
import TestKit
import Testing

@Suite(.serialized) struct LiveSwiftTests {
  @Test(
    "Swift objects are named as Swift does, with their arguments",
    arguments: [["-Onone"], ["-O"], ["-O", "-static-stdlib", "-Xlinker", "-s"]])
  func objects(flags: [String]) throws {
    let directory = try TemporaryDirectory()
    let output = directory.file("Objects")
    let run = try ToolRun(
      executable: try installedProgram("swiftc"),
      flags + [
        "-parse-as-library", "-module-name", "Objects", "-o", output,
        testsPath("Targets/Types/Objects.swift"),
      ])
    try #require(run.ending == .exit(0), "\(run.output)\(run.error)")
    let live = try LiveObjects(output)
    var attribution = TypeAttribution(
      TypeSources(binaries: live.binaries, memory: live.memory, symbols: NoSymbols()))
    #expect(live.objects.count >= 27)
    for (said, told, _) in try live.told(&attribution) {
      #expect(told.name == said, "\(told)")
      #expect(told.kind == .swift)
      #expect(told.evidence.rule == .swiftMetadata)
    }
  }
}
