// Trains a dictionary on the rows of a .npy file (or a store, a .safetensors file or a Zarr matrix), saves
// the run, and prints the experts that are active most often, with the rows on which each of their
// sublatents is strongest.
//
//   train-on-vectors activations.npy RUN [EXPERTS [STEPS]]
//
// It does not handle Ctrl-C, to stay short; the run folder has a checkpoint every 1,000 steps.

import Foundation
import HSAE

/// Trains a dictionary and prints what it found.
func run(_ matrix: String, into folder: String, experts: Int, steps: Int) async throws {
  let file = try RowFile(path: matrix)
  print("\(matrix): \(file.summary)")

  var options = TrainingOptions()
  options.preset = .residualStream
  options.experts = experts
  options.k = Double(min(8, experts))
  options.steps = steps
  options.batch = 512
  let training = try Training(options, width: file.width, run: folder)
  try await training.run(on: file.shuffledBatches()) { record in
    let explained = record.explainedVariance.map { String(format: "%.3f", $0) } ?? "?"
    print(
      "step \(record.step): loss \(String(format: "%.4f", record.loss)), explained \(explained)")
  }

  let dictionary = try SparseDictionary(path: folder)
  // A store holds out some rows from training; other matrices do not.
  let rows = try file.hasHeldOut ? RowFile(path: matrix, heldOut: true) : file
  let summary = try await dictionary.evaluate(on: rows.batches())
  print(
    "explained variance of \(file.hasHeldOut ? "held-out rows" : "the rows it was trained on"):",
    String(format: "%.4f", summary.full.explainedVariance))
  try await printStrongest(dictionary, file)
}

/// Prints the rows on which the sublatents of the three most active experts are strongest.
func printStrongest(_ dictionary: SparseDictionary, _ file: RowFile) async throws {
  var counts = [Int](repeating: 0, count: dictionary.shape.experts)
  var strongest: [LatentNumber: [(row: Int, code: Float)]] = [:]
  var first = 0
  for try await rows in file.batches() {
    let codes = dictionary.encode(rows)
    for (row, rowCodes) in codes.enumerated() {
      for code in rowCodes where code.subValue > 0 {
        counts[code.expert] += 1
        var best = strongest[code.latent, default: []]
        best.append((first + row, code.subValue))
        best.sort { $0.code > $1.code }
        strongest[code.latent] = Array(best.prefix(3))
      }
    }
    first += codes.count
  }
  for expert in counts.indices.sorted(by: { counts[$0] > counts[$1] }).prefix(3) {
    print("expert \(expert), active on \(counts[expert]) rows")
    for sublatent in 0..<dictionary.shape.sublatents {
      let latent = LatentNumber(expert: expert, sublatent: sublatent)
      guard let best = strongest[latent] else { continue }
      let rows = best.map { "\($0.row) (\(String(format: "%.3f", $0.code)))" }
      print("  sublatent \(latent.name): rows \(rows.joined(separator: ", "))")
    }
  }
}

let arguments = CommandLine.arguments.dropFirst()
guard arguments.count >= 2, let experts = Int(arguments.dropFirst(2).first ?? "256"),
  let steps = Int(arguments.dropFirst(3).first ?? "500")
else {
  print("usage: train-on-vectors MATRIX RUN [EXPERTS [STEPS]]")
  exit(64)
}
do {
  try await run(
    CommandLine.arguments[1], into: CommandLine.arguments[2], experts: experts, steps: steps)
} catch let failure as Failure {
  print("train-on-vectors: \(failure)")
  exit(failure.kind.rawValue)
}
