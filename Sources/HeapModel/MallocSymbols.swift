// What a symbol table and debug information say of malloc, as plain values: read by `Symbols`,
// compared by `GlibcHeap`.

/// What a file with symbols says of the malloc of the library that it belongs to.
package struct MallocSymbols: Hashable, Sendable {
  /// A variable that is not a thread's own.
  package struct Variable: Hashable, Sendable {
    /// Its ELF virtual address.
    package var address: UInt64
    /// Its size in bytes, 0 if the symbol states none.
    package var byteCount: UInt64

    /// Makes a variable.
    package init(address: UInt64, byteCount: UInt64) {
      self.address = address
      self.byteCount = byteCount
    }
  }

  /// A structure that malloc keeps its state in.
  package enum Structure: String, Hashable, Sendable, CaseIterable {
    /// An arena.
    case arena = "malloc_state"
    /// `mp_`.
    case parameters = "malloc_par"
    /// What begins each heap of a thread arena.
    case heapInfo = "heap_info"
    /// A thread's cache.
    case tcache = "tcache_perthread_struct"
  }

  /// How a structure is laid out.
  package struct Layout: Hashable, Sendable {
    /// A member of a structure.
    package struct Member: Hashable, Sendable {
      /// Its place in bytes from the structure's start.
      package var offset: UInt64
      /// Its size in bytes, nil if its type was not understood.
      package var byteCount: UInt64?

      /// Makes a member.
      package init(offset: UInt64, byteCount: UInt64? = nil) {
        self.offset = offset
        self.byteCount = byteCount
      }
    }

    /// The size of the whole structure.
    package var byteCount: UInt64
    /// Its members by name.
    package var members: [String: Member]

    /// Makes a layout.
    package init(byteCount: UInt64, members: [String: Member]) {
      self.byteCount = byteCount
      self.members = members
    }
  }

  /// The file that says so.
  package var path: String
  /// `main_arena`, `mp_` and other variables by name.
  package var variables: [String: Variable]
  /// The offsets of thread-local variables in the library's block, by name: `tcache`,
  /// `thread_arena`.
  package var threadLocals: [String: UInt64]
  /// How structures are laid out, empty if that was not read or is not in the file.
  package var layouts: [Structure: Layout]

  /// The symbols that are looked for.
  package static let variableNames = ["main_arena", "mp_"]
  /// The thread-local symbols that are looked for.
  package static let threadLocalNames = ["tcache", "thread_arena"]

  /// Makes symbols.
  package init(
    path: String, variables: [String: Variable] = [:], threadLocals: [String: UInt64] = [:],
    layouts: [Structure: Layout] = [:]
  ) {
    self.path = path
    self.variables = variables
    self.threadLocals = threadLocals
    self.layouts = layouts
  }

  /// Whether it says nothing.
  package var isEmpty: Bool { variables.isEmpty && threadLocals.isEmpty && layouts.isEmpty }
}
