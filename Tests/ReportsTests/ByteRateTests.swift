// Speeds of growth as users write them.

import HeapAnalysis
import Testing

@Suite("Byte rate")
struct ByteRateTests {
  @Test("every unit is a power of 1024, in either case")
  func units() throws {
    for (power, letter) in ["", "k", "m", "g", "t"].enumerated() {
      let bytes = Double(UInt64(1) << UInt64(10 * power))
      for ending in letter.isEmpty ? ["", "b", "B"] : ["", "b", "B", "ib", "iB", "IB"] {
        for unit in [letter + ending, letter.uppercased() + ending] {
          #expect(try ByteRate(parsing: "3\(unit)/s").bytesPerSecond == 3 * bytes, "3\(unit)/s")
        }
      }
    }
  }

  @Test(
    "every time is known, short and long, and without one a minute is meant",
    arguments: [
      ("s", 1.0), ("sec", 1), ("second", 1), ("m", 60), ("min", 60), ("minute", 60), ("h", 3600),
      ("hour", 3600), ("d", 86_400), ("day", 86_400), ("MIN", 60), ("Hour", 3600),
    ])
  func times(time: String, seconds: Double) throws {
    #expect(try ByteRate(parsing: "1MiB/\(time)").bytesPerSecond == 1_048_576 / seconds)
  }

  @Test("without a time a minute is meant")
  func minute() throws {
    #expect(try ByteRate(parsing: "60k").bytesPerSecond == 1024)
  }

  @Test("decimals, zero and blanks between the parts are read")
  func forms() throws {
    #expect(try ByteRate(parsing: "0.5 MB/h").bytesPerSecond == 524_288 / 3600)
    #expect(try ByteRate(parsing: "  2 k / s ").bytesPerSecond == 2048)
    #expect(try ByteRate(parsing: ".5k/s").bytesPerSecond == 512)
    #expect(try ByteRate(parsing: "2.k/s").bytesPerSecond == 2048)
    #expect(try ByteRate(parsing: "0/min").bytesPerSecond == 0)
    #expect(try ByteRate(parsing: "0").bytesPerSecond == 0)
  }

  @Test(
    "whatever is no rate is refused, and told as it was given",
    arguments: [
      "", " ", "/", "/s", "k", "MiB/min", "-1/s", "+1/s", "- 1k", "1//s", "1/", "1/s/s", "1/ ",
      "1MiB/fortnight", "1 2/min", "1.2.3/s", "1..2", ".", "nan", "NaN/s", "inf", "infinity/s",
      "1e3/s", "0x10/s", "1x/s", "1kk/s", "1 k b/s", "one/s", "1m/2s", "１/s", "1/s\n", "1\u{0}/s",
      String(repeating: "9", count: 400), String(repeating: "9", count: 308) + "T/s",
    ])
  func refusals(text: String) {
    #expect(throws: ByteRateError.self, "\(text)") { try ByteRate(parsing: text) }
  }
}
