// Which pages of the target are in memory, from /proc/PID/pagemap.

import CPtrace
import HeapModel

/// The reader of `/proc/PID/pagemap`.
enum PageMap {
  /// How many pages are looked up at most: 256 GiB of 4 KiB pages.
  static let pageLimit = 1 << 26
  /// An entry's bit 63: the page is in memory.
  static let present: UInt64 = 1 << 63
  /// An entry's bit 62: the page is swapped out, or something else stands in its place.
  static let replaced: UInt64 = 1 << 62

  /// Looks up the pages that `ranges` touch.
  static func read(
    _ path: String, ranges: [AddressRange], pageSize: UInt64
  ) throws(TargetError) -> ResidencyMap {
    let file = try OwnedDescriptor(opening: path)
    let aligned = merge(ranges, pageSize: pageSize)
    var pages = 0
    for range in aligned {
      // Within 2^52 pages at least, so that the sum cannot overflow before it is checked.
      pages += Int(range.byteCount / pageSize)
      if pages > pageLimit { throw .tooManyPages(range: range, limit: pageLimit) }
    }
    var runs: [ResidencyMap.Run] = []
    var entries = [UInt64](repeating: 0, count: 16384)
    for range in aligned {
      let isResident = try residentPages(
        range, pageSize: pageSize, file: file, path: path, entries: &entries)
      runs.append(ResidencyMap.Run(range: range, isResident: isResident))
    }
    return ResidencyMap(pageSize: pageSize, runs: runs)
  }

  private static func residentPages(
    _ range: AddressRange, pageSize: UInt64, file: borrowing OwnedDescriptor, path: String,
    entries: inout [UInt64]
  ) throws(TargetError) -> [Bool] {
    let first = range.lowerBound.bits / pageSize
    var isResident = [Bool](repeating: false, count: Int(range.byteCount / pageSize))
    var done = 0
    while done < isResident.count {
      let wanted = min(isResident.count - done, entries.count)
      let offset = Int64(first + UInt64(done)) * 8
      let count = unsafe entries.withUnsafeMutableBytes { bytes in
        unsafe cpt_pread(file.number, bytes.baseAddress, wanted * 8, offset)
      }
      if count < 0 { throw .unreadable(path: path, errno: Int32(-count)) }
      // The file ends where user addresses do: what lies beyond is not resident.
      let read = Int(count) / 8
      if read == 0 { break }
      for index in 0..<read {
        isResident[done + index] = entries[index] & present != 0
      }
      done += read
    }
    return isResident
  }

  /// The pages that `ranges` touch, ascending and disjoint.
  private static func merge(_ ranges: [AddressRange], pageSize: UInt64) -> [AddressRange] {
    let sorted = ranges.filter { !$0.isEmpty }.map { range in
      let end = range.upperBound.advanced(by: pageSize - 1) ?? RemoteAddress(.max)
      return AddressRange(
        range.lowerBound.alignedDown(to: pageSize), end.alignedDown(to: pageSize))
    }.sorted { $0.lowerBound < $1.lowerBound }
    var merged: [AddressRange] = []
    for range in sorted {
      if let last = merged.last, range.lowerBound < last.upperBound {
        merged[merged.count - 1] = AddressRange(
          last.lowerBound, max(last.upperBound, range.upperBound))
      } else {
        merged.append(range)
      }
    }
    return merged
  }
}
