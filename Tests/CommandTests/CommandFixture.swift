// A folder with data and the options of a quick run, for tests that run the executable.

import HSAESupport
import HSAETestSupport
import Testing

/// Data, run directories and commands in one temporary folder.
struct CommandFixture {
  let folder: String
  /// Planted rows of width 20.
  var data: String { path("rows.npy") }
  /// Options of a small dictionary.
  static let small = [
    "--experts", "40", "--sublatents", "4", "--subspace", "3", "--k", "3", "--batch", "64",
  ]

  init(in folder: String) throws {
    self.folder = folder
    let planted = PlantedHierarchy(
      width: 20, parents: 12, children: 3, subspace: 2, active: 2, seed: 1)
    try writeNumpy(planted.rows(300), width: 20, to: data)
  }

  func path(_ name: String) -> String { Path.join(folder, name) }

  /// The arguments that start the run `name`.
  func training(_ name: String, _ options: [String]) -> [String] {
    ["train", data, "--out", path(name)] + Self.small + options
  }

  /// The arguments that resume the run `name`.
  func resuming(_ name: String) -> [String] { ["train", "--resume", "--out", path(name)] }

  /// Steps of the checkpoints that the run `name` has, in order.
  func checkpoints(_ name: String) -> [Int] {
    let names = (try? Path.list(path(name) + "/checkpoints")) ?? []
    return names.compactMap { $0.hasPrefix("step-") ? Int($0.dropFirst(5)) : nil }.sorted()
  }

  /// The newest checkpoint's weights and optimizer state.
  func weights(_ name: String) -> [[UInt8]] {
    guard let step = checkpoints(name).last else { return [] }
    let digits = String(repeating: "0", count: 8 - String(step).count) + String(step)
    return ["hsae_weights.safetensors", "optimizer.safetensors"].map {
      fileBytes(path(name) + "/checkpoints/step-\(digits)/\($0)")
    }
  }

  /// Names of half-written files anywhere in the run `name`.
  func partialNames(_ name: String) -> [String] {
    [path(name), path(name) + "/checkpoints"].flatMap { folder in
      ((try? Path.list(folder)) ?? []).filter { $0.contains(".partial-") }
    }
  }

  /// Whether the run `name` has written a record.
  func hasRecord(_ name: String) -> Bool { (Path.fileSize(path(name) + "/metrics.jsonl") ?? 0) > 0 }
}

/// Expects that `result` is an error with exit code `code`: one sentence on standard error that contains
/// each of `parts`, and nothing on standard output.
func expectRefusal(
  _ result: CommandResult, _ code: Int32, _ parts: [String] = [],
  at location: SourceLocation = #_sourceLocation
) {
  #expect(result.code == code, "\(result.errors)", sourceLocation: location)
  #expect(result.output.isEmpty, sourceLocation: location)
  let errors = result.errors
  #expect(
    errors.hasPrefix("hsae: ") && errors.hasSuffix("\n") && result.complaints.count == 1,
    "\(errors)", sourceLocation: location)
  for part in parts {
    #expect(errors.contains(part), "\(part) in \(errors)", sourceLocation: location)
  }
}

extension CommandResult {
  /// Standard error without the line about the memory that training needs.
  var complaints: [Substring] {
    errors.split(separator: "\n").filter { !$0.hasPrefix("hsae: memory: ") }
  }
}
