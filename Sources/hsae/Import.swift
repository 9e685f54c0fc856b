// hsae import: a dictionary of another tool as a run. Options and printing; the work is `HSAEInterop`'s.

public import ArgumentParser
public import HSAEInterop
import HSAESupport
import HSAERuns
import HSAETraining

extension ImportFormat: ExpressibleByArgument {}

struct Import: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a run of a dictionary that another tool trained.",
    discussion: """
      Everything that takes a run then takes it, but for what would train it: evaluate, explain, explore, \
      encode, steer, report, export, info. Name the rows with --store where they ask for them.

      PATH is a folder of SAELens (standard, topk, jumprelu, batchtopk and matryoshka SAEs, saved for \
      inference or in training; also what hsae export wrote) or of sparsify, a params.npz of Gemma Scope, or the \
      arrays of the H-SAE's authors as .npz or .safetensors, which need --k. Biases, thresholds and what is done to \
      rows are carried over; what has no counterpart here is refused by name. config.json says under \
      "origin" where the dictionary came from, and how codes relate to those it had there.

      Dictionaries with a ReLU or JumpReLU let any number of latents be active. Here the strongest \
      --max-active of a row are kept.
      """)

  @Argument(help: "What to import.", completion: .file())
  var path: String

  @Option(help: "The folder to write; there must be nothing there.", completion: .directory)
  var out: String

  @Option(help: "What it is, where it is not to be found out (\(ImportFormat.names)).")
  var format: ImportFormat?

  @Option(
    help: "Latents active in a row, at most, where it has no k (default: 1024, or all there are).")
  var maxActive: Int?

  @Option(help: "Active experts, for the authors' arrays, which do not say it.")
  var k: Int?

  @Option(help: "α of the top level, for the authors' arrays (default: 1/√d).")
  var threshold: Float?

  @Option(help: "α of the sublatents, for the authors' arrays (default: 1/√d).")
  var thresholdSub: Float?

  @Option(help: "Slope below α, top level, for the authors' arrays (default: 0).")
  var slopeTop: Float?

  @Option(help: "Slope below α, sublatents, for the authors' arrays (default: 0.01).")
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
    let parent = Path.parent(out)
    guard Path.isDirectory(parent) else {
      throw Failure(.cannotCreate, "\(parent): there is no such folder to write \(out) in.")
    }
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
