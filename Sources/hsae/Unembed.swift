// hsae unembed: writes a model's unembedding matrix as a store to train on. `UnembeddingRows` does the work.

import ArgumentParser
import Foundation
import HSAEActivations
import HSAELanguageModels
import HSAESupport
import HSAETensors

struct Unembed: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a model's cleaned, whitened unembedding rows as a store.",
    discussion: """
      Rows are centred, whitened by the inverse square root of their covariance, and scaled to unit \
      norm; mean and covariance are over all rows of the matrix. The store keeps ordinary tokens that \
      are whole text, contain a letter, and whose whitened norm is between 0.77 and 1.217 times the \
      root mean square norm of all rows (which is the square root of the width).
      """)

  @Argument(help: "A model's name (it is fetched), or the path of a GGUF file.", completion: .model)
  var model: String

  @Option(help: "The store to write.", completion: .directory)
  var out: String

  @Flag(help: "Replace the store at --out, if there is one.")
  var replace = false

  @Option(help: "Smallest whitened norm to keep (default: 0.77 times the root mean square).")
  var minNorm: Float?

  @Option(help: "Largest whitened norm to keep (default: 1.217 times the root mean square).")
  var maxNorm: Float?

  @Flag(inversion: .prefixedNo, help: "Whiten the rows, or only centre them.")
  var whiten = true

  @Flag(inversion: .prefixedNo, help: "Keep only tokens that contain a letter.")
  var letters = true

  @Option(help: "Tokens to show for each reason to drop tokens.")
  var samples = 12

  @Option(help: "Seed of the order of rows in the store and of the choice of samples.")
  var seed: UInt64 = 0

  @OptionGroup var threading: ThreadsOption

  @Flag(help: "Print a summary as JSON.")
  var json = false

  func validate() throws {
    guard samples >= 0 else { throw ValidationError("--samples must not be negative.") }
    for norm in [minNorm, maxNorm].compactMap(\.self) where !(norm.isFinite && norm >= 0) {
      throw ValidationError("--min-norm and --max-norm must be finite and not negative.")
    }
    if let minNorm, let maxNorm, minNorm > maxNorm {
      throw ValidationError("--min-norm must not be larger than --max-norm.")
    }
  }

  func run() throws {
    let say = { @Sendable (line: String) in report("hsae unembed: \(line)") }
    guard replace || !Path.exists(out) else {
      throw Failure(
        .cannotCreate, "\(out) exists already; choose another --out, or replace it with --replace.")
    }
    if replace { try ActivationStore.requireReplaceable(out) }
    try Path.requireParent(of: out)
    let path = try ModelFetcher(say: say).resolve(model)
    let file = try GGUFFile(path: path)
    var options = UnembeddingRows.Options()
    options.cleaning.minimumNorm = minNorm
    options.cleaning.maximumNorm = maxNorm
    options.cleaning.requiresLetter = letters
    options.cleaning.sampleCount = samples
    options.cleaning.seed = seed
    options.whiten = whiten
    options.threads = threading.count
    let rows = try UnembeddingRows(file: file, options: options, progress: say)
    say("writing \(counted(rows.directions.rows, "row")) to \(out)")
    try rows.writeStore(
      at: out, modelSHA256: file.sha256(), shuffleSeed: seed, replacing: replace)
    if json {
      try output(JSONFile.encode(Summary(rows, out: out)))
    } else {
      try output(text(rows.report) + "\n")
    }
  }

  private func text(_ report: CleaningReport) -> String {
    func number(_ value: Float) -> String {
      String(format: "%.1f", value)
    }
    func lines(_ group: CleaningReport.Group) -> [String] {
      guard group.count > 0 else { return [] }
      let words = group.samples.map { "\($0.text.escaped) \(number($0.norm))" }
      return ["\(group.count)  \(group.words)", "    " + words.joined(separator: " · ")]
    }
    let head = [
      "\(report.kept.count) of \(report.tokenCount) tokens kept; whitened norms "
        + "\(number(report.minimumNorm)) to \(number(report.maximumNorm)) "
        + "(root mean square \(number(report.rootMeanSquareNorm)))",
      "samples, each with its whitened norm:",
    ]
    return (head + lines(report.kept) + report.dropped.flatMap(lines)).joined(separator: "\n")
  }

  /// What `--json` prints.
  private struct Summary: Encodable {
    let out: String
    let source: UnembeddingRows.Source
    let whitened: Bool
    let rows: Int
    let width: Int
    let cleaning: CleaningReport

    init(_ rows: borrowing UnembeddingRows, out: String) {
      self.out = out
      source = rows.source
      whitened = rows.transform.isWhitening
      self.rows = rows.directions.rows
      width = rows.directions.columns
      cleaning = rows.report
    }
  }
}

extension String {
  /// The text with control characters escaped, so that it stays on one line.
  fileprivate var escaped: String {
    unicodeScalars.map { scalar in
      [.control, .format].contains(scalar.properties.generalCategory)
        ? scalar.escaped(asASCII: true) : String(scalar)
    }.joined()
  }
}
