// How much of what the arenas have laid out is not used.

package import HeapModel

extension HeapSnapshot {
  /// The share of the arenas' chunk bytes that the program does not hold, from 0 to 1; nil if the
  /// arenas have no chunks.
  ///
  /// It is (free + cached) / (in use + free + cached). Left out are mmapped chunks, which go back
  /// to the kernel when they are freed, and the top chunks, which are not between other chunks
  /// and mostly were never touched.
  package var fragmentation: Double? {
    let inUseBytes = arenas.reduce(0.0) { $0 + Double($1.inUse.bytes) }
    let idleBytes = Double(free.bytes) + Double(cached.bytes)
    guard inUseBytes + idleBytes > 0 else { return nil }
    return idleBytes / (inUseBytes + idleBytes)
  }
}
