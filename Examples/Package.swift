// swift-tools-version: 6.2
// Two small programs that use hsae as any package can: `swift run -c release --package-path Examples NAME`.
// Your own package names a URL instead of the path.
import PackageDescription

let hsae: Target.Dependency = .product(name: "HSAE", package: "hsae")

let package = Package(
  name: "hsae-examples",
  dependencies: [.package(name: "hsae", path: "..", traits: [])],
  targets: [
    .executableTarget(name: "train-on-vectors", dependencies: [hsae]),
    .executableTarget(name: "encode-stream", dependencies: [hsae]),
  ]
)
