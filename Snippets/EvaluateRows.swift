// Measures how well a dictionary rebuilds rows it was not trained on.
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
// Every combination occurs in both parts.
let first = Rows(Array(rows.prefix(1_800)))
while !training.isFinished { try await training.run(on: first) }
let dictionary = training.dictionary()
// snippet.show
let heldOut = Rows(Array(rows.suffix(600)))  // the dictionary was trained on the others
let summary = dictionary.evaluate(heldOut)
print("explained variance", summary.full.explainedVariance)
print("of it by the top level alone", summary.topLevel.explainedVariance)
print("latents active at a time", summary.l0)
// snippet.hide
print(summary.full.explainedVariance > summary.topLevel.explainedVariance, summary.l0 <= 2)
// Prints:
// explained variance *
// of it by the top level alone *
// latents active at a time *
// true true
