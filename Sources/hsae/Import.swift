// hsae import: makes a run of another tool's dictionary. `HSAEInterop` does the work.

public import ArgumentParser
public import HSAEInterop
import HSAESupport

extension ImportFormat: ExpressibleByArgument {}

struct Import: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a run of a dictionary that another tool trained.",
    discussion: """
      The commands evaluate, explain, explore, encode, steer, lookup, report, export and info take the run; \
      it cannot be trained further. Name rows with --store for commands that need them.

      PATH is a folder of SAELens (standard, topk, jumprelu, batchtopk and matryoshka SAEs, saved for \
      inference or in training; also what hsae export wrote) or of sparsify, a folder or a file of Gemma Scope 1 \
      or 2, or the arrays of the H-SAE's authors as .npz or .safetensors, which need --k. hsae keeps biases, \
      thresholds and the scaling of rows; an error names anything without a counterpart here. config.json records \
      under "origin" where the dictionary came from, and how its codes relate to the original ones.

      In dictionaries with a ReLU or JumpReLU any number of latents can be active for a row. Here the strongest \
      --max-active are kept.
      """)

  @Argument(help: "The dictionary to import.", completion: .file())
  var path: String

  @Option(help: "The folder to write; there must be nothing there.", completion: .directory)
  var out: String

  @Option(help: "The layout of PATH, if it cannot be detected (\(ImportFormat.names)).")
  var format: ImportFormat?

  @Option(
    help: "Most active latents of a row, for dictionaries without a k (default: 1024, or all).")
  var maxActive: Int?

  @Option(help: "Active experts for each row, for the authors' arrays, which do not record it.")
  var k: Int?

  @Option(help: "Threshold α of latents, for the authors' arrays (default: 1/√d).")
  var threshold: Float?

  @Option(help: "Threshold α of sublatents, for the authors' arrays (default: 1/√d).")
  var thresholdSub: Float?

  @Option(help: "Slope below the threshold, latents, for the authors' arrays (default: 0).")
  var slopeTop: Float?

  @Option(help: "Slope below the threshold, sublatents, for the authors' arrays (default: 0.01).")
  var slopeSub: Float?

  @Flag(help: "Print the origin as JSON.")
  var json = false

  func validate() throws {
    if let maxActive, maxActive < 1 {
      throw ValidationError("--max-active must be at least 1.")
    }
    if let k, k < 1 { throw ValidationError("--k must be at least 1.") }
    for (name, value, most) in [
      ("--threshold", threshold, 1e30), ("--threshold-sub", thresholdSub, 1e30),
      ("--slope-top", slopeTop, 1), ("--slope-sub", slopeSub, 1),
    ] as [(String, Float?, Float)] {
      if let value, !(value >= 0 && value <= most) {
        throw ValidationError("\(name) must be between 0 and \(most).")
      }
    }
  }

  func run() throws {
    try Path.requireParent(of: out)
    var options = ImportOptions()
    (options.k, options.maxActive) = (k, maxActive)
    (options.threshold, options.subThreshold) = (threshold, thresholdSub)
    (options.slope, options.subSlope) = (slopeTop, slopeSub)
    let imported = try DictionaryImport(path: path, format: format, options: options)
    try imported.write(to: out)
    if json {
      try output(JSONFile.encode(imported.origin))
    } else {
      try output(Description(run: out).text.joined(separator: "\n") + "\n")
    }
  }
}

extension ImportFormat {
  fileprivate static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
