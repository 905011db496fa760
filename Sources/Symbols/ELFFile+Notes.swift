// The notes of an ELF file: its build id, and who built it.

import CElfutils

extension ELFFile {
  /// The most bytes of one note segment that are read; build ids are within the first hundred.
  private static var noteLimit: UInt64 { 64 << 10 }

  /// The build id, empty if the file has none.
  package var buildID: [UInt8] {
    note(named: "GNU", type: UInt32(NT_GNU_BUILD_ID)) ?? []
  }

  /// Whether Go's linker made the file: it leaves a note of its own, type 4, that stripping keeps.
  var isMadeByGo: Bool {
    note(named: "Go", type: 4) != nil
  }

  /// The description of the first note with this owner and type.
  private func note(named owner: String, type wanted: UInt32) -> [UInt8]? {
    for header in programHeaders where header.type == UInt32(PT_NOTE) {
      guard let range = header.file.dropping(0, limit: Self.noteLimit),
        let bytes = try? handle.bytes(at: range)
      else { continue }
      let alignment = header.alignment == 8 ? 8 : 4
      if let found = bytes.note(named: owner, type: wanted, alignment: alignment) { return found }
    }
    return nil
  }
}

extension FileBytes {
  /// The description of the first note with this owner and type in bytes that are notes.
  func note(named owner: String, type wanted: UInt32, alignment: Int) -> [UInt8]? {
    var start = 0
    while let nameSize = load(UInt32.self, at: start),
      let size = load(UInt32.self, at: start + 4),
      let type = load(UInt32.self, at: start + 8)
    {
      // 32-bit sizes added to an offset within 64 KiB stay far below Int's limit.
      let nameStart = start + 12
      let descriptionStart = Self.roundedUp(nameStart + Int(nameSize), alignment)
      let end = descriptionStart + Int(size)
      guard end <= count else { return nil }
      if type == wanted,
        bytes[nameStart..<nameStart + Int(nameSize)].elementsEqual(owner.utf8 + [0])
          || bytes[nameStart..<nameStart + Int(nameSize)].elementsEqual(owner.utf8 + [0, 0])
      {
        return Array(bytes[descriptionStart..<end])
      }
      start = Self.roundedUp(end, alignment)
    }
    return nil
  }

  private static func roundedUp(_ value: Int, _ alignment: Int) -> Int {
    (value + alignment - 1) / alignment * alignment
  }
}
