// The heap as a profile for pprof and what reads its format: stacks of file, type and size.

package import HeapAnalysis
package import HeapModel

/// A profile in pprof's format, compressed as its readers expect.
package enum PprofProfile {
  /// Writes the chunks in use that `pattern` wants, at the time `nanoseconds` after 1970 if that is
  /// given.
  ///
  /// A stack is, from the leaf on, the range of sizes, the type, and the file that implements it. Its
  /// values are those of a heap profile of Go: how many objects, and how many bytes, are in use.
  ///
  /// - Throws: what the sink throws.
  package static func write<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, pattern: TypePattern? = nil, tool: ToolFacts, nanoseconds: Int64?,
    to sink: inout Sink
  ) throws(Sink.Failure) {
    var profile = ProfileWriter(report.held?.binaries ?? [], first: report.target.executable)
    for stack in TypeStack.all(of: report, pattern: pattern) { profile.add(stack) }
    let bytes = profile.finish(
      comments: comments(report, tool), nanoseconds: nanoseconds)
    try sink.write(Gzip.compressed(bytes).span)
  }

  private static func comments(_ report: HeapReport, _ tool: ToolFacts) -> [String] {
    let target = report.target
    var comments = [
      "\(tool.name) \(tool.version)",
      "process \(target.pid) \(target.command.printable)",
      "chunks in use, by file, type and chunk size; sizes with malloc's headers",
    ]
    let attribution = TypeShares(HeldTallies(report), of: report.held?.types ?? [.unknown])
    if attribution.total.count > 0 {
      let share = Figures.percent(attribution.typed.bytes, of: attribution.total.bytes)
      comments.append("\(share) of the bytes have a type")
    }
    if report.snapshot.coverage < 1 {
      comments.append("only \(Figures.coverage(report.snapshot.coverage)) of the heap covered")
    }
    return comments
  }
}

/// The parts of a profile, which refer to each other by numbers from 1 on.
private struct ProfileWriter {
  /// What a location stands for; each has a function of its own.
  private struct Frame: Hashable {
    var name: String
    var binary: String?
  }

  private var samples = ProtobufWriter()
  private var mappings = ProtobufWriter()
  private var locations = ProtobufWriter()
  private var functions = ProtobufWriter()
  private var strings: [String] = [""]
  private var places: [String: Int] = ["": 0]
  private var frames: [Frame: UInt64] = [:]
  private var mappingOf: [String: UInt64] = [:]

  /// Takes the files; the first mapping of a profile is the program, which is `first`.
  init(_ binaries: [MappedBinary], first: String) {
    for binary in binaries.filter({ $0.path == first }) + binaries.filter({ $0.path != first })
    where mappingOf[binary.path] == nil { add(binary) }
  }

  /// Adds a file by the part of it that is executable.
  private mutating func add(_ binary: MappedBinary) {
    guard let part = binary.parts.first(where: \.isExecutable) ?? binary.parts.first else { return }
    let id = UInt64(mappingOf.count + 1)
    mappingOf[binary.path] = id
    let (path, buildID) = (string(binary.path.printable), string(binary.buildID.hexadecimal ?? ""))
    mappings.message(3) { mapping in
      mapping.number(1, id)
      mapping.number(2, part.range.lowerBound.bits)
      mapping.number(3, part.range.upperBound.bits)
      mapping.number(4, part.fileOffset)
      mapping.number(5, path)
      mapping.number(6, buildID)
      // Nothing is left for a viewer to look up in the file.
      for field in 7...10 { mapping.boolean(field, true) }
    }
  }

  /// Adds chunks.
  mutating func add(_ stack: TypeStack) {
    let binary = stack.type.binary
    let names = TypeFrames(stack)
    let stackLocations = [names.sizes, names.type, names.binary].map { name in
      location(Frame(name: name, binary: binary))
    }
    let labels = [
      ("kind", stack.type.kind.rawValue), ("evidence", stack.type.evidence.rule.rawValue),
    ]
    .map { (string($0), string($1)) }
    samples.message(2) { sample in
      sample.packed(1, stackLocations)
      // The format's numbers have a sign.
      sample.packed(
        2, [UInt64(max(0, stack.held.count)), min(stack.held.bytes, UInt64(Int64.max))])
      for (key, value) in labels {
        sample.message(3) { label in
          label.number(1, key)
          label.number(2, value)
        }
      }
    }
  }

  /// The whole profile.
  mutating func finish(comments: [String], nanoseconds: Int64?) -> [UInt8] {
    var profile = ProtobufWriter()
    let (objects, space) = (string("inuse_objects"), string("inuse_space"))
    let (count, bytes, kind) = (string("count"), string("bytes"), string("space"))
    let notes = comments.map { string($0) }
    func valueType(_ field: Int, _ type: Int, _ unit: Int) {
      profile.message(field) { value in
        value.number(1, type)
        value.number(2, unit)
      }
    }
    valueType(1, objects, count)
    valueType(1, space, bytes)
    var tail = ProtobufWriter()
    for text in strings { tail.element(6, text) }
    if let nanoseconds { tail.number(9, UInt64(bitPattern: nanoseconds)) }
    tail.message(11) { value in
      value.number(1, kind)
      value.number(2, bytes)
    }
    // Every byte is counted.
    tail.number(12, 1)
    tail.packed(13, notes.map { UInt64($0) })
    tail.number(14, space)
    return [profile, samples, mappings, locations, functions, tail].flatMap(\.bytes)
  }

  /// The number of a location that stands for `frame`.
  private mutating func location(_ frame: Frame) -> UInt64 {
    if let id = frames[frame] { return id }
    let id = UInt64(frames.count + 1)
    frames[frame] = id
    let (name, file) = (string(frame.name), string(frame.binary?.printable ?? ""))
    let mapping = frame.binary.flatMap { mappingOf[$0] } ?? 0
    locations.message(4) { location in
      location.number(1, id)
      location.number(2, mapping)
      location.message(4) { $0.number(1, id) }
    }
    functions.message(5) { function in
      function.number(1, id)
      function.number(2, name)
      function.number(3, name)
      function.number(4, file)
    }
    return id
  }

  /// The number of a text.
  private mutating func string(_ text: String) -> Int {
    if let place = places[text] { return place }
    let place = strings.count
    strings.append(text)
    places[text] = place
    return place
  }
}
