// Which file is opened for a mapping, and how mappings are put together to modules.

import Glibc
import HeapModel
import Testing

@testable import Symbols

@Suite struct TargetFilesTests {
  @Test("a library that was deleted after loading is opened, and is the mapped one")
  func deletedLibrary() throws {
    let directory = try TemporaryDirectory()
    let library = try directory.compile(
      "int marker(void) { return 7; }", as: "gone.so", "cc", "-shared", "-fPIC")
    let expected = try contents(of: library)
    let child = try WaitingChild(["sleep", "1000"], environment: ["LD_PRELOAD=\(library)"])
    #expect(unlink(library) == 0)
    _ = try directory.write([1, 2, 3], as: "gone.so")
    let modules = LoadedModule.modules(in: try child.mappings())
    let module = try #require(modules.first { $0.name == library })
    #expect(module.base.isDeleted)
    do throws(SymbolError) {
      let opened = try TargetFiles(pid: child.pid).open(module.base)
      var bytes = [UInt8](repeating: 0, count: expected.count + 1)
      #expect(opened.descriptor.read(at: 0, into: &bytes) == expected.count)
      #expect(Array(bytes.dropLast()) == expected)
    } catch {
      // The kernel keeps its links for the privileged: others are told that, and never given the
      // file that took the place.
      #expect(geteuid() != 0)
      guard case .noWayToFile(library, let attempts) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(attempts.first?.outcome == .refused(errno: EPERM))
    }
  }

  @Test("without the kernel's links, a path that now leads to another file is refused")
  func replacedFile() throws {
    let directory = try TemporaryDirectory()
    let original = try directory.write([1], as: "original")
    let status = try FileStatus.of(path: original).get()
    let replaced = try directory.write([2], as: "replaced")
    let mapping = Self.mapping(status, name: replaced)
    let files = TargetFiles(pid: 1, procRoot: directory.path)
    do throws(SymbolError) {
      _ = try files.open(mapping)
      Issue.record("opened the wrong file")
    } catch {
      guard case .noWayToFile(replaced, let attempts) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(attempts.count == 4)
      let outcomes = attempts.map(\.outcome)
      #expect(outcomes.contains(.refused(errno: ENOENT)))
      let other = try FileStatus.of(path: replaced).get()
      #expect(
        outcomes.contains(
          .otherFile(
            deviceMajor: other.deviceMajor, deviceMinor: other.deviceMinor, inode: other.inode)))
      #expect("\(error)".contains("another file"))
    }
  }

  @Test("an equal inode on another device is accepted within the target's root only")
  func overlayDevices() throws {
    let directory = try TemporaryDirectory()
    let file = try directory.write([1], as: "file")
    var status = try FileStatus.of(path: file).get()
    status.deviceMinor ^= 1
    #expect(throws: SymbolError.self) {
      _ = try TargetFiles(pid: 1, procRoot: directory.path).open(Self.mapping(status, name: file))
    }
    let own = try TargetFiles(pid: getpid()).open(Self.mapping(status, name: file))
    #expect(own.path == "/proc/\(getpid())/root\(file)")
  }

  @Test("something that is no regular file is not opened")
  func noDevices() throws {
    let status = try FileStatus.of(path: "/dev/null").get()
    #expect(throws: SymbolError.self) {
      _ = try TargetFiles(pid: getpid()).open(Self.mapping(status, name: "/dev/null"))
    }
  }

  @Test("a second copy of libc, in a namespace of dlmopen, is a module and an image of its own")
  func secondCopy() throws {
    let directory = try TemporaryDirectory()
    let program = try directory.compile(
      """
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <unistd.h>
      int main(void) {
        if (!dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW)) return 1;
        for (;;) pause();
      }
      """, as: "copies", "cc", "-ldl")
    let child = try WaitingChild([program])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    let loaded = objects.loadedImages()
    let images = loaded.images
    let modules = loaded.modules
    #expect(images.count == 2)
    #expect(Set(images.map(\.loadBias)).count == 2)
    #expect(modules[0].mappings.count == modules[1].mappings.count)
    #expect(images.map(\.loadBias) == modules.map(\.base.range.lowerBound.bits))
    #expect(images[0].loadBias > images[1].loadBias)
  }

  @Test("the executable is found, and its bias is that of a position-independent program")
  func executable() throws {
    let child = try WaitingChild(["sleep", "1000"])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    let executable = try #require(objects.executable)
    #expect(executable.fileName == "sleep")
    let image = try objects.open(executable).image(exports: [], wantsBanner: true)
    #expect(executable.loadBias(of: image) == executable.base.range.lowerBound.bits)
    #expect(image.glibcBanner == nil)
    #expect(image.isDynamic)
    #expect(try objects.open(executable).interpreter?.contains("ld-linux") == true)
  }

  @Test("data mapped from the same page as code continues a module; the file's start does not")
  func smallFile() throws {
    let status = FileStatus(stat())
    func piece(_ start: UInt64, offset: UInt64, executable: Bool) -> MemoryMapping {
      var mapping = Self.mapping(status, name: "/lib/small.so")
      mapping.inode = 5
      mapping.range = AddressRange(RemoteAddress(start), byteCount: 0x1000)
      mapping.fileOffset = offset
      mapping.isExecutable = executable
      return mapping
    }
    let modules = LoadedModule.modules(in: [
      piece(0x1_0000, offset: 0, executable: true),
      piece(0x1_1000, offset: 0, executable: false),
      piece(0x1_2000, offset: 0x1000, executable: false),
      piece(0x1_3000, offset: 0, executable: true),
      piece(0x1_4000, offset: 0, executable: false),
    ])
    #expect(modules.map(\.mappings.count) == [3, 2])
    #expect(modules.map(\.base.range.lowerBound.bits) == [0x1_0000, 0x1_3000])
  }

  @Test("modules are put together in one pass as they are one by one")
  func joined() {
    var random = Xorshift()
    for _ in 0..<200 {
      let mappings = (0..<UInt64(random.below(40))).map { page in
        MemoryMapping(
          range: AddressRange(RemoteAddress(page << 12), RemoteAddress((page + 1) << 12)),
          isReadable: true, isWritable: false, isExecutable: random.below(2) == 0, isShared: false,
          fileOffset: UInt64(random.below(4)) << 12, deviceMajor: 8, deviceMinor: 1,
          inode: UInt64(1 + random.below(3)), name: "/lib", isDeleted: false)
      }
      let modules = LoadedModule.modules(in: mappings)
      var taken: Set<LoadedModule> = []
      var expected: [LoadedModule] = []
      for first in modules where !taken.contains(first) {
        let rest = first.continuations(among: modules)
        taken.formUnion(rest)
        expected.append(first.joined(with: rest))
      }
      #expect(LoadedModule.joined(modules) == expected)
    }
  }

  @Test("the gap that a loader leaves between segments is part of its module, whatever its offset")
  func gaps() throws {
    let status = FileStatus(stat())
    func piece(_ start: UInt64, offset: UInt64, _ permissions: String) -> MemoryMapping {
      var mapping = Self.mapping(status, name: "/lib/libc.so.6")
      mapping.inode = 5
      mapping.range = AddressRange(RemoteAddress(start), byteCount: 0x1000)
      mapping.fileOffset = offset
      mapping.isReadable = permissions.contains("r")
      mapping.isWritable = permissions.contains("w")
      mapping.isExecutable = permissions.contains("x")
      return mapping
    }
    // As linkers for pages of up to 64 KiB, or 2 MiB, lay libraries out: twice the same file, where data
    // begins in a page of its own, and where it begins in the page in which code ends.
    let modules = LoadedModule.modules(in: [
      piece(0x10_0000, offset: 0, "rx"), piece(0x11_0000, offset: 0x18_c000, ""),
      piece(0x12_0000, offset: 0x18_c000, "r"), piece(0x13_0000, offset: 0x19_0000, "rw"),
      piece(0x20_0000, offset: 0, "rx"), piece(0x21_0000, offset: 0x18_c000, ""),
      piece(0x22_0000, offset: 0x18_b000, "r"), piece(0x23_0000, offset: 0x19_0000, "rw"),
    ])
    #expect(modules.map(\.mappings.count) == [4, 4])
  }

  private static func mapping(_ status: FileStatus, name: String) -> MemoryMapping {
    MemoryMapping(
      range: AddressRange(RemoteAddress(0x1000), byteCount: 0x1000), isReadable: true,
      isWritable: false, isExecutable: true, isShared: false, fileOffset: 0,
      deviceMajor: status.deviceMajor, deviceMinor: status.deviceMinor, inode: status.inode,
      name: name, isDeleted: false)
  }
}
