// swift-tools-version: 6.2
// The package's targets, bottom up: an arrow of import points down this list only.
// See docs/architecture.md for what each module is for.
import PackageDescription

/// Every Swift target: Swift 6 language mode (the default of this tools version), strict memory
/// safety, explicit existentials, imports that do not leak, and warnings as errors.
let settings: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

/// The commit that is built, as `make` says it. A bare `swift build` says none, and SwiftPM's own
/// `Context.gitInformation` is remembered from build to build, so it would name an old one.
let commit = (Context.environment["HSAE_COMMIT"] ?? "").filter {
  $0.isLetter || $0.isNumber || $0 == "-"
}

func library(
  _ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []
) -> Target {
  .target(
    name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies + ["HSAETestSupport"], exclude: exclude,
    swiftSettings: settings)
}

let package = Package(
  name: "hsae",
  products: [
    .executable(name: "hsae", targets: ["hsae"]),
    .library(name: "HSAE", targets: ["HSAE"]),
  ],
  traits: [
    .default(enabledTraits: ["Explorer"]),
    .trait(
      name: "Explorer",
      description: "hsae explain and explore, SQLite and HTTP; without it builds are quicker."),
    .trait(name: "MPI", description: "Training on several processes and machines (Open MPI)."),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
  ],
  targets: [
    // C: innermost loops, and the module maps of the system libraries.
    .target(name: "CHSAEKernels"),
    .target(name: "CHSAEPlatform"),
    .target(name: "CPJRT"),
    .target(
      name: "CHSAEBuild",
      cSettings: commit.isEmpty ? [] : [.define("HSAE_COMMIT", to: "\"\(commit)\"")]),
    .systemLibrary(name: "CDNNL", providers: [.apt(["libdnnl-dev"])]),
    .systemLibrary(
      name: "CLAPACKE", pkgConfig: "lapacke", providers: [.apt(["liblapacke-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZip", pkgConfig: "libzip", providers: [.apt(["libzip-dev"])]),
    .systemLibrary(name: "CLlama", pkgConfig: "llama"),
    .systemLibrary(
      name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
    // Without the trait it is empty and needs nothing.
    .target(
      name: "CMPI",
      dependencies: [.target(name: "COpenMPI", condition: .when(traits: ["MPI"]))],
      cSettings: [.define("HSAE_MPI", .when(traits: ["MPI"]))]),

    // Swift, bottom up.
    library("HSAEPlatform", ["CHSAEPlatform"]),
    library("HSAESupport", ["CCrypto", "HSAEPlatform"]),
    library("HSAEHTML", ["HSAESupport"]),
    library("HSAETensors", ["CHSAEKernels", "CDNNL", "CLAPACKE", "HSAEPlatform"]),
    library("HSAEModels", ["CHSAEKernels", "HSAETensors", "HSAEPlatform"]),
    library(
      "HSAEDistribution",
      ["HSAESupport", .target(name: "CMPI", condition: .when(traits: ["MPI"]))]),
    library("HSAEActivations", ["CHSAEKernels", "HSAETensors", "HSAESupport"]),
    library(
      "HSAELanguageModels",
      ["CHSAEKernels", "CLlama", "CZlib", "HSAETensors", "HSAESupport", "HSAEActivations"]),
    library(
      "HSAERuns",
      ["HSAEModels", "HSAETensors", "HSAEActivations", "HSAEDistribution", "HSAESupport"]),
    library("HSAEDevices", ["CPJRT", "HSAEModels", "HSAETensors", "HSAESupport"]),
    library(
      "HSAEEngine",
      [
        "CHSAEKernels", "HSAEModels", "HSAETensors", "HSAEDistribution", "HSAERuns",
        "HSAEDevices", "HSAESupport",
      ]),
    library(
      "HSAETraining",
      [
        "HSAEModels", "HSAETensors", "HSAEActivations", "HSAEDistribution", "HSAERuns",
        "HSAEDevices", "HSAEEngine", "HSAESupport",
      ]),
    // The library's face: what programs import.
    library(
      "HSAE",
      [
        "HSAEModels", "HSAETensors", "HSAEActivations", "HSAERuns", "HSAETraining",
        "HSAESupport", "HSAEPlatform",
      ]),
    library(
      "HSAEEvaluation",
      [
        "HSAEModels", "HSAETensors", "HSAEActivations", "HSAELanguageModels", "HSAEDistribution",
        "HSAERuns", "HSAETraining", "HSAESupport",
      ]),
    library(
      "HSAEInterop",
      ["CZip", "HSAEModels", "HSAETensors", "HSAEActivations", "HSAERuns", "HSAESupport"],
      resources: [.embedInCode("hsae_saelens.py")]),
    library(
      "HSAEReport",
      [
        "HSAEModels", "HSAETensors", "HSAEActivations", "HSAEEvaluation", "HSAERuns", "HSAEHTML",
        "HSAESupport",
      ]),
    library(
      "HSAEExplorer",
      [
        "CHSAEKernels", "HSAEModels", "HSAETensors", "HSAEActivations", "HSAELanguageModels",
        "HSAERuns", "HSAEEvaluation", "HSAEHTML", "HSAESupport",
        .product(name: "GRDB", package: "GRDB.swift", condition: .when(traits: ["Explorer"])),
        .product(name: "FlyingSocks", package: "FlyingFox", condition: .when(traits: ["Explorer"])),
      ]),
    .executableTarget(
      name: "hsae",
      dependencies: [
        "CHSAEBuild", "HSAESupport", "HSAETensors", "HSAEModels", "HSAEActivations",
        "HSAELanguageModels", "HSAEDistribution", "HSAERuns", "HSAEDevices", "HSAEEngine",
        "HSAETraining", "HSAEEvaluation", "HSAEReport", "HSAEInterop",
        .target(name: "HSAEExplorer", condition: .when(traits: ["Explorer"])),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),

    // What instructions are counted of; `make bench-check`.
    .executableTarget(
      name: "hsae-benchmarks",
      dependencies: ["CHSAEKernels", "HSAETensors", "HSAEModels", "HSAEEngine"],
      path: "Benchmarks", exclude: ["check.sh", "thresholds.txt", "Reading"],
      swiftSettings: settings),
    // What is measured and not tested; `swift run -c release NAME`.
    .executableTarget(
      name: "read-bench",
      dependencies: ["HSAESupport", "HSAETensors", "HSAEActivations", "HSAERuns", "HSAETraining"],
      path: "Benchmarks/Reading", swiftSettings: settings),

    // Tests: one folder per target, and what they share.
    .target(
      name: "HSAETestSupport", dependencies: ["HSAESupport", "HSAETensors", "HSAEDistribution"],
      path: "Tests/HSAETestSupport", swiftSettings: settings),
    tests("HSAEPlatformTests", ["HSAEPlatform", "HSAESupport"]),
    tests("HSAESupportTests", ["HSAESupport"]),
    tests("HSAEHTMLTests", ["HSAEHTML", "HSAETensors"]),
    tests("HSAETensorsTests", ["HSAETensors", "CHSAEKernels"]),
    tests("HSAEModelsTests", ["HSAEModels", "HSAETensors", "HSAEPlatform"], exclude: ["Fixtures"]),
    tests("HSAEActivationsTests", ["HSAEActivations", "HSAETensors", "HSAESupport"]),
    tests(
      "HSAELanguageModelsTests",
      ["HSAELanguageModels", "HSAEActivations", "HSAETensors", "HSAESupport"],
      exclude: ["Hostile"]),
    tests("HSAEDistributionTests", ["HSAEDistribution", "HSAESupport"]),
    tests(
      "HSAERunsTests", ["HSAERuns", "HSAEActivations", "HSAEModels", "HSAETensors", "HSAESupport"]),
    tests("HSAEDevicesTests", ["HSAEDevices", "HSAESupport"]),
    tests(
      "HSAEEngineTests",
      [
        "HSAEEngine", "HSAERuns", "HSAEDistribution", "HSAEActivations", "HSAEModels",
        "HSAETensors", "HSAESupport",
      ]),
    tests(
      "HSAETrainingTests",
      [
        "HSAETraining", "HSAEEngine", "HSAERuns", "HSAEDistribution", "HSAEActivations",
        "HSAEDevices", "HSAEModels", "HSAETensors", "HSAESupport",
      ]),
    tests("HSAETests", ["HSAE", "HSAEModels", "HSAETensors", "HSAESupport"]),
    tests(
      "HSAEEvaluationTests",
      [
        "HSAEEvaluation", "HSAEReport", "HSAEHTML", "HSAELanguageModels", "HSAEDistribution",
        "HSAERuns", "HSAETraining", "HSAEActivations", "HSAEModels", "HSAETensors", "HSAESupport",
      ], exclude: ["Fixtures"]),
    tests(
      "HSAEExplorerTests",
      [
        "HSAEExplorer", "HSAEHTML", "HSAEEvaluation", "HSAELanguageModels", "HSAERuns",
        "HSAEModels", "HSAEActivations", "HSAETensors", "HSAESupport",
        .product(name: "GRDB", package: "GRDB.swift", condition: .when(traits: ["Explorer"])),
        .product(name: "FlyingSocks", package: "FlyingFox", condition: .when(traits: ["Explorer"])),
      ], exclude: ["Browser"]),
    tests(
      "HSAEInteropTests",
      [
        "CZip", "HSAEInterop", "HSAEModels", "HSAETensors", "HSAEActivations", "HSAERuns",
        "HSAESupport",
      ]),
    tests(
      "CommandTests", ["HSAEActivations", "HSAETensors", "HSAESupport"], exclude: ["Snapshots"]),
  ]
)
