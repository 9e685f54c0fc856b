// Finds the rows on which each sublatent is strongest.
// snippet.hide
import Foundation
import HSAE

let folder = FileManager.default.temporaryDirectory
  .appendingPathComponent("hsae-snippet-\(UUID().uuidString)").path
defer { try? FileManager.default.removeItem(atPath: folder) }

// Rows with a planted hierarchy: one of 8 parents, and one of its three children.
let rows = Rows(
  (0..<2_400).map { index in
    var row = [Float](repeating: 0, count: 32)
    row[index % 8] = 1
    row[8 + 3 * (index % 8) + index / 8 % 3] = 0.5
    return row
  })
let path = folder + "/run"
var options = TrainingOptions()
(options.experts, options.sublatents, options.subspace, options.k) = (16, 4, 2, 2)
(options.steps, options.batch, options.learningRate) = (300, 256, 5e-3)
let training = try Training(options, width: 32, run: path)
while !training.isFinished { try await training.run(on: rows) }
let dictionary = training.dictionary()
// snippet.show
let codes = dictionary.encode(rows)
var strongest: [LatentNumber: [(row: Int, code: Float)]] = [:]
for (row, rowCodes) in codes.enumerated() {
  for code in rowCodes where code.subValue > 0 {
    strongest[code.latent, default: []].append((row, code.subValue))
  }
}
let latents = strongest.keys.sorted {
  $0.number(in: dictionary.shape) < $1.number(in: dictionary.shape)
}
for latent in latents.prefix(3) {
  let best = strongest[latent, default: []].sorted { $0.code > $1.code }.prefix(3)
  print("sublatent", latent.name, "is strongest on the rows", best.map(\.row))
}
// Prints:
// sublatent *
// sublatent *
// sublatent *
