// The one owner of a libdw handle: everything that is asked of libdw is asked here.

import CElfutils
import Glibc

/// Debug information opened with libdw.
///
/// A handle belongs to one thread. libdw is given no reason to open files by itself: what it would
/// follow is hidden from it.
@safe struct DwarfHandle: ~Copyable {
  /// The sections that types are in; the others are not even decompressed.
  private static let sections: Set<String> = [
    ".debug_info", ".debug_abbrev", ".debug_str", ".debug_line_str", ".debug_str_offsets",
    ".debug_aranges", ".debug_types",
  ]
  /// The most bytes that they may have decompressed; those of a libc are about 10 MiB.
  private static let sizeLimit: UInt64 = 256 << 20
  /// The most units that are looked through for one by its name.
  private static let unitLimit = 1 << 16

  private let dwarf: OpaquePointer
  private let file: ElfHandle
  /// What dwz has moved to a file that several share.
  let shared: SharedDwarf?
  /// How many bytes its sections have decompressed.
  let byteCount: UInt64

  private init(
    dwarf: OpaquePointer, file: consuming ElfHandle, shared: SharedDwarf?, byteCount: UInt64
  ) {
    unsafe self.dwarf = dwarf
    self.file = file
    self.shared = shared
    self.byteCount = byteCount
    if let shared { unsafe dwarf_setalt(dwarf, shared.handle.dwarf) }
  }

  deinit {
    _ = unsafe dwarf_end(dwarf)
  }

  /// Opens the debug information in `file`, which finds in `shared` what it shares with others.
  ///
  /// - Throws: `SymbolError.noTypes`.
  static func open(
    _ file: consuming ElfHandle, sharing shared: SharedDwarf? = nil
  ) throws(SymbolError) -> DwarfHandle {
    let path = file.path
    let size = file.hideDebugSections(otherThan: sections)
    guard size <= sizeLimit else { throw .noTypes(path: path, reason: .tooLarge(size)) }
    guard let dwarf = unsafe dwarf_begin_elf(file.elf, DWARF_C_READ, nil) else {
      throw .noTypes(path: path, reason: .unreadable(lastError()))
    }
    return unsafe DwarfHandle(dwarf: dwarf, file: file, shared: shared, byteCount: size)
  }

  /// The unit with the code at ELF virtual address `address`, or else the one of the source file
  /// `source`.
  func unit(at address: UInt64?, source: String) -> DebugEntry? {
    var entry = unsafe Dwarf_Die()
    // The table of address ranges leads to it at once; not every compiler writes one.
    if let address, unsafe dwarf_addrdie(dwarf, address, &entry) != nil {
      let unit = unsafe DebugEntry(entry)
      if unit.isFile(named: source) { return unit }
    }
    var left = Self.unitLimit
    var found: DebugEntry?
    forEachUnit { unit in
      left -= 1
      if unit.isFile(named: source) { found = unit }
      return found == nil && left > 0
    }
    return found
  }

  /// Calls `body` with each unit, those of types included, until it returns false.
  func forEachUnit(_ body: (DebugEntry) -> Bool) {
    var entry = unsafe Dwarf_Die()
    var unit: OpaquePointer?
    while true {
      var next: OpaquePointer?
      guard
        // Without the place for a split unit, libdw does not look for the file that has it.
        unsafe dwarf_get_units(dwarf, unit, &next, nil, nil, &entry, nil) == 0,
        unsafe next != nil
      else { return }
      if !body(unsafe DebugEntry(entry)) { return }
      unsafe unit = next
    }
  }

  private static func lastError() -> String {
    guard let message = unsafe dwarf_errmsg(-1) else { return "no reason given" }
    return unsafe String(cString: message)
  }
}

/// Debug information that is open as long as others share it.
final class SharedDwarf {
  let handle: DwarfHandle

  init(_ handle: consuming DwarfHandle) {
    self.handle = handle
  }
}

/// One entry of debug information, such as a unit, a type or a member.
///
/// It is valid while its handle is open.
@safe struct DebugEntry {
  private var raw: Dwarf_Die

  init(_ raw: Dwarf_Die) {
    unsafe self.raw = raw
  }

  /// What kind it is, -1 if it cannot be read.
  var tag: Int {
    var entry = unsafe raw
    return Int(unsafe dwarf_tag(&entry))
  }

  /// Its place in our memory, which tells entries of all files apart.
  var identity: UInt { unsafe UInt(bitPattern: raw.addr) }

  /// Its name; nil if it has none, or one that is too long.
  var name: String? {
    unsafe withName { unsafe String(decoding: $0, as: UTF8.self) }
  }

  /// Calls `body` with the bytes of its name; nil if it has none, or one that is too long.
  func withName<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result? {
    var entry = unsafe raw
    guard let text = unsafe dwarf_diename(&entry) else { return nil }
    let count = unsafe strnlen(text, TypeSpelling.lengthLimit + 1)
    guard count <= TypeSpelling.lengthLimit else { return nil }
    return unsafe text.withMemoryRebound(to: UInt8.self, capacity: count) {
      unsafe body(UnsafeBufferPointer(start: $0, count: count))
    }
  }

  /// The unit that it belongs to.
  var unit: DebugEntry? {
    var entry = unsafe raw
    var found = unsafe Dwarf_Die()
    guard unsafe dwarf_diecu(&entry, &found, nil, nil) != nil else { return nil }
    return unsafe DebugEntry(found)
  }

  /// Whether it is the unit of a source file with this name, in whatever directory.
  func isFile(named source: String) -> Bool {
    guard let name else { return false }
    return name == source || name.hasSuffix("/" + source)
  }

  /// Its first child.
  var child: DebugEntry? {
    var entry = unsafe raw
    var found = unsafe Dwarf_Die()
    guard unsafe dwarf_child(&entry, &found) == 0 else { return nil }
    return unsafe DebugEntry(found)
  }

  /// The one after it; libdw makes sure that it lies further on.
  var sibling: DebugEntry? {
    var entry = unsafe raw
    var found = unsafe Dwarf_Die()
    guard unsafe dwarf_siblingof(&entry, &found) == 0 else { return nil }
    return unsafe DebugEntry(found)
  }

  /// Whether it has an attribute.
  func has(_ name: Int) -> Bool {
    var entry = unsafe raw
    return unsafe dwarf_hasattr(&entry, UInt32(truncatingIfNeeded: name)) != 0
  }

  /// A number.
  func number(_ name: Int) -> UInt64? {
    var entry = unsafe raw
    var attribute = unsafe Dwarf_Attribute()
    var value: Dwarf_Word = 0
    guard unsafe dwarf_attr(&entry, UInt32(truncatingIfNeeded: name), &attribute) != nil,
      unsafe dwarf_formudata(&attribute, &value) == 0
    else { return nil }
    return value
  }

  /// The entry that an attribute refers to.
  func entry(_ name: Int) -> DebugEntry? {
    var entry = unsafe raw
    var attribute = unsafe Dwarf_Attribute()
    var found = unsafe Dwarf_Die()
    guard unsafe dwarf_attr(&entry, UInt32(truncatingIfNeeded: name), &attribute) != nil,
      unsafe dwarf_formref_die(&attribute, &found) != nil
    else { return nil }
    return unsafe DebugEntry(found)
  }

  /// The place of a member in its structure, in bytes: a number, or an expression that adds one.
  var memberOffset: UInt64? {
    if let number = number(Int(DW_AT_data_member_location)) { return number }
    var entry = unsafe raw
    var attribute = unsafe Dwarf_Attribute()
    var operations: UnsafeMutablePointer<Dwarf_Op>?
    var count = 0
    guard
      unsafe dwarf_attr(&entry, UInt32(DW_AT_data_member_location), &attribute) != nil,
      unsafe dwarf_getlocation(&attribute, &operations, &count) == 0, count == 1,
      let operation = unsafe operations?.pointee, Int(operation.atom) == DW_OP_plus_uconst
    else { return nil }
    return operation.number
  }
}
