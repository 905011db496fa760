// The parser of /proc/PID/maps on text as kernels write it, and on text as they do not.

import HeapModel
import LinuxTarget
import Testing

@Suite("The text of maps")
struct MapsParserTests {
  private func parse(_ text: String) -> [MemoryMapping] {
    MapsParser.parse(Array(text.utf8).span)
  }

  @Test("every field of a line is read")
  func fields() throws {
    let mapping = try #require(
      parse("7f0012340000-7f0012341000 r-xs 0001f000 fd:1a 4242   /usr/lib/libm.so.6\n").first)
    #expect(mapping.range.lowerBound.bits == 0x7f00_1234_0000)
    #expect(mapping.range.byteCount == 0x1000)
    #expect(mapping.isReadable && !mapping.isWritable && mapping.isExecutable && mapping.isShared)
    #expect(mapping.fileOffset == 0x1f000)
    #expect(mapping.deviceMajor == 0xfd && mapping.deviceMinor == 0x1a && mapping.inode == 4242)
    #expect(mapping.name == "/usr/lib/libm.so.6" && !mapping.isDeleted)
  }

  @Test(
    "a name is what the kernel means by it",
    arguments: [
      ("", "", false),
      ("   [heap]", "[heap]", false),
      ("   [anon: glibc: malloc arena]", "[anon: glibc: malloc arena]", false),
      ("   /a b/c  d", "/a b/c  d", false),
      ("   /a b (deleted)", "/a b", true),
      ("   /memfd:x y (deleted)", "/memfd:x y", true),
      ("   /tmp/a\\012b", "/tmp/a\nb", false),
      ("   /tmp/a\\012 (deleted)", "/tmp/a\n", true),
      ("   /tmp/a\\040b\\", "/tmp/a\\040b\\", false),
      ("   /tmp/a\\01", "/tmp/a\\01", false),
      ("   (deleted)", "(deleted)", false),
      ("   [stack] (deleted)", "[stack] (deleted)", false),
      ("   /tmp/(deleted)", "/tmp/(deleted)", false),
      ("   /tmp/a (deleted) (deleted)", "/tmp/a (deleted)", true),
      ("   /tmp/\u{e4}", "/tmp/\u{e4}", false),
    ])
  func names(written: String, name: String, isDeleted: Bool) throws {
    let mapping = try #require(parse("1000-2000 rw-p 00000000 00:00 0" + written + "\n").first)
    #expect(mapping.name == name)
    #expect(mapping.isDeleted == isDeleted)
  }

  @Test(
    "a malformed line is left out and those around it are kept",
    arguments: [
      "", "garbage", "1000", "1000-", "1000-2000", "2000-1000 rw-p 00000000 00:00 0",
      "1000-1000 rw-p 00000000 00:00 0", "1000-2000 rw-q 00000000 00:00 0",
      "1000-2000 wr-p 00000000 00:00 0", "1000-2000 rw-p 00000000 00:00",
      "1000-2000 rw-p 00000000 00-00 0", "1000-2000 rw-p 00000000 00:00 12x",
      "11112222333344445-2000 rw-p 00000000 00:00 0",
      "1000-2000 rw-p 00000000 100000000:00 0",
      "1000-2000 rw-p 00000000 00:00 99999999999999999999",
      "VmFlags: rd wr mr mw me ac",
    ])
  func malformed(line: String) {
    let good = "5000-6000 rw-p 00000000 00:00 0 "
    let mappings = parse(good + "\n" + line + "\n" + good + "   [heap]")
    #expect(mappings.map(\.name) == ["", "[heap]"])
  }

  @Test("neighbouring names are not confused when only their ends or beginnings agree")
  func neighbours() {
    let names = ["/lib/a.so", "/lib/b.so", "/lib/b.so", "/lib/b.so (deleted)", "", "/lib/b.so"]
    let text = names.map { "1000-2000 rw-p 00000000 00:00 0   \($0)\n" }.joined()
    let mappings = parse(text)
    #expect(
      mappings.map(\.name)
        == ["/lib/a.so", "/lib/b.so", "/lib/b.so", "/lib/b.so", "", "/lib/b.so"])
    #expect(mappings.map(\.isDeleted) == [false, false, false, true, false, false])
  }

  @Test("the last line needs no end, and the highest address is read")
  func ends() {
    let mappings = parse("ffffffffff600000-ffffffffffffffff --xp 00000000 00:00 0   [vsyscall]")
    #expect(mappings.first?.range.upperBound.bits == .max)
    #expect(mappings.first?.name == "[vsyscall]")
    #expect(parse("").isEmpty)
  }

  @Test("bytes that are not UTF-8 do not hide a mapping")
  func invalidText() {
    let line = Array("1000-2000 rw-p 00000000 00:00 7   /tmp/".utf8) + [0xff, 0xfe, 0x0a]
    #expect(MapsParser.parse(line.span).map(\.inode) == [7])
  }
}
