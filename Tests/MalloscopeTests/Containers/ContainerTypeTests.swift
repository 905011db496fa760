// What programs in containers hold, told from the host and from containers beside them.

import Glibc
import HeapModel
import TestKit
import Testing

@Suite("Types in containers", .serialized)
struct ContainerTypeTests {
  @Test(
    "classes, fields and symbols are those of the target's files, from everywhere",
    arguments: [ContainerRoot.bookworm, .trixie])
  func types(root: ContainerRoot) throws {
    try needContainers()
    let container = try Container(
      ContainerPlan([""]), in: root, copying: try CompiledProgram.path("Types/Owners.cpp"))
    let planted = plantedCounts(try container.program.waitReady())
    #expect(planted.count == 10)
    let pid = try container.pid()
    for place in ToolPlace.allCases where place != .usual {
      let run = try place.run(
        ["types", "\(place.number(of: pid))", "--json", "--owner"], beside: pid)
      #expect(run.ending == .exit(0), "\(place): \(run.error)")
      let report = try TypesDocument(run.output)
      for (name, count) in planted {
        #expect(report.count(of: name) == count, "\(name), \(place)")
      }
    }
  }
}
