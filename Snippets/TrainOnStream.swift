// Trains on rows as a program makes them.
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
// snippet.show
let activations = AsyncStream<Rows> { stream in
  Task {
    for _ in 0..<40 { stream.yield(rows) }  // pieces may have any size
    stream.finish()
  }
}

var options = TrainingOptions()
options.experts = 16
options.sublatents = 4
options.subspace = 2
options.k = 2
options.steps = 300  // the learning rate schedule needs them
options.batch = 256
options.learningRate = 5e-3
options.recordEvery = 100

let training = try Training(options, width: rows.width, run: path)
try await training.run(on: activations) { record in
  print("step", record.step, "of", training.steps)
}

let dictionary = training.dictionary()

// Save the dictionary as a run: instead of `run:`, or in addition.
try await training.save(to: folder + "/kept/after-\(training.step)")
// snippet.hide
print("saved:", try SparseDictionary(path: folder + "/kept/after-300").step)
print(training.isFinished, training.rowsUsed, dictionary.step)
print(dictionary.evaluate(rows).full.explainedVariance > 0.5)
// Prints:
// step 1 of 300
// step 100 of 300
// step 200 of 300
// step 300 of 300
// saved: 300
// true 76800 300
// true
