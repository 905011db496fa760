// The heap of a program for aarch64 that runs in the emulator, walked from outside.

import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import Symbols
import TestKit

/// What a walk of an emulated program's heap has found, beside what the program itself says.
struct EmulatedHeap {
  let oracle: HeapOracle
  /// Everything in the process: the program's malloc and the emulator's own.
  let snapshot: HeapSnapshot
  /// The program's copy of malloc.
  let malloc: MallocSummary
  /// The program's chunks in arenas, by their address, and all mmapped ones.
  let chunks: [RemoteAddress: Chunk]

  /// The program's arenas.
  var arenas: [ArenaSummary] { snapshot.arenas(of: malloc) }

  /// What there is to say that is not about the emulator's own malloc.
  var findings: [Finding] {
    snapshot.findings.filter { !$0.detail.contains("is code for x86-64, run by an emulator") }
  }

  /// The checks of the program's arenas, and those of mmapped chunks.
  var checks: [Check] {
    snapshot.checks.filter { check in
      let words = check.name.split(separator: " ")
      guard words.first == "arena", words.count > 1, let index = Int(words[1]) else { return true }
      return malloc.arenas.contains(index)
    }
  }

  /// Walks `program`, which has said that it is ready; with `knowsThreads`, from the thread pointers that
  /// it has printed.
  init(_ program: TargetProgram, _ oracle: HeapOracle, knowsThreads: Bool = true) throws {
    self.oracle = oracle
    let process = try LinuxProcess.inspect(program.pid)
    let mappings = try process.mappings()
    let objects = TargetObjects(pid: program.pid, mappings: mappings)
    let images = objects.loadedImages(exports: MallocInstance.exportsOfInterest).images
    let instances = try MallocInstance.find(in: images)
    let reader = LiveMemoryReader(process)
    var options = WalkOptions(pageSize: process.pageSize, collectsChunks: true)
    options.tagsMemory = process.isToldToTagMemory
    let hints = try HeapWalk.survey(
      of: instances, reader: reader, mappings: mappings, options: options)
    var threads = oracle.threadPointers.sorted { $0.key < $1.key }.map { tid, pointer in
      var state = ThreadState(
        tid: tid, threadPointer: pointer, programCounter: RemoteAddress(0),
        stackPointer: RemoteAddress(0))
      state.machine = .arm64
      return state
    }
    if !knowsThreads { for index in threads.indices { threads[index].machine = .amd64 } }
    var collected = try HeapWalk.collect(
      of: instances, reader: reader, data: DataRanges(mappings), threads: threads,
      options: options, hints: hints, buffers: WalkBuffers())
    snapshot = collected.snapshot()
    let ours = instances.filter { $0.machine == .arm64 }
    guard ours.count == 1,
      let malloc = snapshot.mallocs.first(where: { $0.mainArena == ours[0].mainArena })
    else {
      throw TestKitError.malformed(
        what: "the process of an emulator", text: "\(images.map(\.path)): \(ours.count) mallocs")
    }
    self.malloc = malloc
    chunks = Dictionary(
      uniqueKeysWithValues: snapshot.chunks.filter { chunk in
        chunk.arena.map { malloc.arenas.contains(Int($0)) } ?? true
      }.map { ($0.userAddress, $0) })
  }

  /// What differs from what the program says of its heap, a sentence each.
  ///
  /// A static program's loader part keeps its search path in the heap: `loaderChunks` small ones at most.
  func disagreements(threadVectors: Int, loaderChunks: Int = 0) -> [String] {
    var result = blockDisagreements(threadVectors: threadVectors, loaderChunks: loaderChunks)
    result += totalDisagreements()
    result += checks.filter { !$0.holds }.map {
      "check \($0.name): \($0.expected) expected, \($0.found) found"
    }
    result += findings.map { "finding \($0.kind): \($0.detail)" }
    if snapshot.coverage != 1 { result.append("coverage \(snapshot.coverage)") }
    return result
  }

  /// What the program says of its blocks, by the addresses that its pointers mean.
  func untagged(_ blocks: [RemoteAddress: UInt64]) -> [RemoteAddress: UInt64] {
    Dictionary(
      uniqueKeysWithValues: blocks.map { block, usable in
        (RemoteAddress(ELFImage.Machine.arm64.untagged(block.bits)), usable)
      })
  }

  /// What is wrong with the blocks that the program holds, and with what it does not hold.
  private func blockDisagreements(threadVectors: Int, loaderChunks: Int) -> [String] {
    var result: [String] = []
    let held = untagged(oracle.live.merging(oracle.libc) { first, _ in first })
    for (address, usable) in held {
      guard let chunk = chunks[address] else {
        result.append("the block at \(address) is missing")
        continue
      }
      if chunk.state != .inUse || chunk.usableSize != usable {
        result.append("the block at \(address) has \(usable) bytes, but is found as \(chunk)")
      }
    }
    let others = chunks.values.filter {
      $0.state == .inUse && $0.arena != nil && held[$0.userAddress] == nil
    }
    // pthread_create allocates the vector of thread-local storage: 288 bytes, and up to 16 that would be
    // too few for a chunk of their own.
    let vectors = others.filter { (288...304).contains($0.size) }
    if vectors.count != threadVectors || others.count - vectors.count > loaderChunks {
      result.append("\(others) are in use, \(threadVectors) thread vectors are expected")
    }
    return Array(result.prefix(8))
  }

  private func totalDisagreements() -> [String] {
    guard let info = oracle.mallInfo2, let heaps = oracle.mallocInfo?.heaps else {
      return ["the program does not say what it has"]
    }
    var result: [String] = []
    func compare(_ name: String, _ found: UInt64, _ expected: UInt64?) {
      if found != expected { result.append("\(name): \(found) instead of \(expected ?? 0)") }
    }
    func tally(_ arena: ArenaSummary?, _ state: ChunkState) -> (count: UInt64, bytes: UInt64) {
      let ours = chunks.values.filter { chunk in
        chunk.state == state && (arena.map { chunk.arena == Int32($0.index) } ?? true)
      }
      return (UInt64(ours.count), ours.reduce(0) { $0 + $1.size })
    }
    func sum(_ value: (ArenaSummary) -> UInt64) -> UInt64 { arenas.reduce(0) { $0 + value($1) } }
    let fast = tally(nil, .fastbin)
    let freeBytes = sum { $0.free.bytes + $0.topBytes } + fast.bytes
    compare("arena", sum(\.systemBytes), info.arena)
    compare("ordblks", sum { UInt64($0.free.count) + 1 }, info.ordblks)
    compare("smblks", fast.count, info.smblks)
    compare("fsmblks", fast.bytes, info.fsmblks)
    compare("fordblks", freeBytes, info.fordblks)
    compare("uordblks", sum(\.systemBytes) - freeBytes, info.uordblks)
    compare("keepcost", arenas.first?.topBytes ?? 0, info.keepcost)
    compare("hblks", UInt64(malloc.mmapped.count), info.hblks)
    compare("hblkhd", malloc.mmapped.bytes, info.hblkhd)
    let mmapped = untagged(oracle.live).keys.compactMap { chunks[$0] }.filter { $0.arena == nil }
    compare("mmapped blocks", UInt64(mmapped.count), info.hblks)
    compare("arenas", UInt64(arenas.count), UInt64(heaps.count))
    for (arena, heap) in zip(arenas, heaps) {
      let name = "arena \(arena.index)"
      let rest = heap.totals["rest"]
      let fast = tally(arena, .fastbin)
      compare(name + " system", arena.systemBytes, heap.system["current"])
      // malloc_info counts a binned chunk with its flag bit, and top without.
      compare(name + " rest", UInt64(arena.free.count) + 1, rest?.count)
      compare(
        name + " rest bytes", arena.free.bytes + UInt64(arena.free.count) + arena.topBytes,
        rest?.bytes)
      compare(name + " fast", fast.count, heap.totals["fast"]?.count ?? 0)
      compare(name + " fast bytes", fast.bytes, heap.totals["fast"]?.bytes ?? 0)
      if arena.kind == .thread {
        compare(name + " heaps", UInt64(arena.segments.count), heap.addressSpace["subheaps"])
      }
    }
    return result
  }
}
