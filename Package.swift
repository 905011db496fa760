// swift-tools-version: 6.3

import PackageDescription

/// What every Swift target builds with: nothing implicit, no warning tolerated.
let house: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("ExistentialAny"),
]

/// In addition, for the targets that touch bytes of the target process.
let parsing: [SwiftSetting] =
  house + [.strictMemorySafety(), .enableExperimentalFeature("Lifetimes")]

/// For the C programs that tests attach to: without Swift's start-up object, which would have them
/// load the Swift runtime, and that allocates before their first line.
let plainC: [LinkerSetting] = [.unsafeFlags(["-nostartfiles"])]

/// With MALLOSCOPE_COMMIT set, as Sources/Packaging/package does: what --version says was built.
///
/// Not from Context.gitInformation, which keeps an earlier commit as long as this file stays the same.
let commit: [CSetting] =
  Context.environment["MALLOSCOPE_COMMIT"].map { [.define("MALLOSCOPE_COMMIT", to: "\"\($0)\"")] }
  ?? []

/// With MALLOSCOPE_FUZZER set, as Tests/fuzz does: the fuzzer is built, too, and counts which parts of
/// these targets an input reaches. It needs clang's libFuzzer, which not every toolchain has.
let isFuzzing = Context.environment["MALLOSCOPE_FUZZER"] != nil
let fuzzed: [SwiftSetting] = isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer"])] : []
let fuzzers: [Target] =
  isFuzzing
  ? [
    .systemLibrary(name: "CFuzzer", path: "Tests/CFuzzer"),
    .executableTarget(
      name: "HeapFuzzer", dependencies: ["CFuzzer", "HeapFuzzing"], path: "Tests/HeapFuzzer",
      swiftSettings: house, linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]),
  ] : []

let package = Package(
  name: "malloscope",
  products: [
    .executable(name: "malloscope", targets: ["malloscope"]),
    // For tests only. A library of its own, since a test bundle that linked the target would have
    // its own malloc replaced.
    .library(name: "AllocationRecorder", type: .dynamic, targets: ["AllocationRecorder"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // The tool, in the order of its data flow.
    .target(name: "CPtrace", path: "CPtrace"),
    .target(name: "CVersion", cSettings: commit),
    .systemLibrary(
      name: "CElfutils", path: "Sources/CElfutils", pkgConfig: "libdw",
      providers: [.apt(["libelf-dev", "libdw-dev"])]),
    .systemLibrary(
      name: "CLzma", path: "Sources/CLzma", pkgConfig: "liblzma",
      providers: [.apt(["liblzma-dev"])]),
    // Needs libiberty-dev, which no pkg-config file tells.
    .target(name: "CDemangle", linkerSettings: [.linkedLibrary("iberty")]),
    .systemLibrary(
      name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "HeapModel", swiftSettings: parsing),
    .target(name: "RemoteMemory", dependencies: ["HeapModel"], swiftSettings: parsing + fuzzed),
    .target(
      name: "LinuxTarget", dependencies: ["HeapModel", "RemoteMemory", "CPtrace"],
      swiftSettings: parsing),
    .target(
      name: "StopControl", dependencies: ["HeapModel", "RemoteMemory", "LinuxTarget", "CPtrace"],
      swiftSettings: parsing),
    .target(
      name: "Symbols",
      dependencies: ["HeapModel", "LinuxTarget", "CElfutils", "CLzma", "CDemangle", "CPtrace"],
      swiftSettings: parsing),
    .target(
      name: "GlibcHeap", dependencies: ["HeapModel", "RemoteMemory"],
      swiftSettings: parsing + fuzzed),
    .target(
      name: "HeapTypes", dependencies: ["HeapModel", "RemoteMemory"], swiftSettings: parsing),
    .target(name: "HeapAnalysis", dependencies: ["HeapModel"], swiftSettings: house),
    .target(
      name: "Reports", dependencies: ["HeapModel", "HeapAnalysis", "CZlib"], swiftSettings: house),
    .target(name: "TerminalUI", swiftSettings: house),
    .target(
      name: "WatchScreen", dependencies: ["HeapModel", "HeapAnalysis", "Reports", "TerminalUI"],
      swiftSettings: house),
    .executableTarget(
      name: "malloscope",
      dependencies: [
        "HeapModel", "RemoteMemory", "LinuxTarget", "StopControl", "Symbols", "GlibcHeap",
        "HeapTypes", "HeapAnalysis", "Reports", "TerminalUI", "WatchScreen", "CPtrace", "CVersion",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: house),

    // Programs that tests attach to, and the recorder that knows their true allocations.
    .executableTarget(
      name: "HeapScenario", path: "Tests/Targets/HeapScenario", linkerSettings: plainC),
    .target(
      name: "AllocationRecorder", path: "Tests/Targets/AllocationRecorder", linkerSettings: plainC),

    // Tests.
    .target(
      name: "TestKit", dependencies: ["HeapModel", "RemoteMemory"], path: "Tests/TestKit",
      swiftSettings: house),
    .target(
      name: "HeapFuzzing", dependencies: ["GlibcHeap", "HeapModel", "RemoteMemory", "TestKit"],
      path: "Tests/HeapFuzzing", swiftSettings: house),
    .testTarget(
      name: "HeapModelTests", dependencies: ["HeapModel", "RemoteMemory"], swiftSettings: house),
    .testTarget(
      name: "LinuxTargetTests",
      dependencies: ["LinuxTarget", "HeapModel", "RemoteMemory", "CPtrace", "TestKit"],
      swiftSettings: house),
    .testTarget(
      name: "StopControlTests",
      dependencies: [
        "StopControl", "LinuxTarget", "HeapModel", "CPtrace", "TestKit", "HeapScenario",
        "malloscope",
      ],
      swiftSettings: house),
    .testTarget(
      name: "SymbolsTests",
      dependencies: ["Symbols", "GlibcHeap", "LinuxTarget", "HeapModel", "TestKit"],
      swiftSettings: house),
    .testTarget(
      name: "GlibcHeapTests",
      dependencies: ["GlibcHeap", "HeapFuzzing", "HeapModel", "RemoteMemory", "TestKit"],
      swiftSettings: house),
    .testTarget(
      name: "HeapTypesTests",
      dependencies: ["HeapTypes", "HeapModel", "RemoteMemory", "LinuxTarget", "TestKit"],
      swiftSettings: house),
    .testTarget(
      name: "Arm64Tests",
      dependencies: [
        "GlibcHeap", "Symbols", "LinuxTarget", "HeapModel", "RemoteMemory", "CPtrace", "TestKit",
        "malloscope",
      ],
      swiftSettings: house),
    .testTarget(
      name: "ReportsTests",
      dependencies: ["Reports", "HeapAnalysis", "HeapModel", "TestKit"],
      exclude: ["Golden", "Decoders"], swiftSettings: house),
    .testTarget(
      name: "TerminalUITests", dependencies: ["TerminalUI", "TestKit"], swiftSettings: house),
    .testTarget(
      name: "WatchScreenTests",
      dependencies: [
        "WatchScreen", "TerminalUI", "HeapAnalysis", "HeapModel", "Reports", "TestKit",
      ],
      exclude: ["Golden"], swiftSettings: house),
    .testTarget(
      name: "MalloscopeTests",
      dependencies: ["HeapModel", "TestKit", "malloscope", "HeapScenario"],
      exclude: ["Golden"], swiftSettings: house),
    .testTarget(
      name: "PackagingTests", dependencies: ["TestKit", "malloscope", "HeapScenario"],
      swiftSettings: house),
    .testTarget(
      name: "MidOperationTests",
      dependencies: [
        "GlibcHeap", "StopControl", "Symbols", "LinuxTarget", "RemoteMemory", "HeapModel",
        "TestKit",
      ],
      swiftSettings: house),
    .executableTarget(
      name: "HeapBenchmark", dependencies: ["CPtrace", "TestKit", "malloscope", "HeapScenario"],
      path: "Tests/Benchmarks", swiftSettings: house),
  ] + fuzzers,
  cLanguageStandard: .c11,
  cxxLanguageStandard: .cxx17
)
