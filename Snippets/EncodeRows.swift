// Loads a dictionary and encodes rows.
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
// snippet.show
let dictionary = try SparseDictionary(path: path)

let codes = dictionary.encode(rows)
for row in codes.prefix(1) {
  for code in row {  // strongest first
    print("expert", code.expert, "with", code.value)
    print("  its sublatent", code.latent.name, "with", code.subValue)
  }
}

let rebuilt = dictionary.decode(codes)
let coarse = dictionary.decode(codes, topLevelOnly: true)
let seen = dictionary.normalised(rows)  // both rebuild these
// snippet.hide
func error(_ one: Rows, _ other: Rows) -> Float {
  zip(one.elements, other.elements).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
}
print(codes.count, "codes,", rebuilt.count, "rows of", rebuilt.width)
print("better with sublatents:", error(seen, rebuilt) < error(seen, coarse))
// Prints:
// expert *
//   its sublatent *
// ...
// 2400 codes, 2400 rows of 32
// better with sublatents: true
