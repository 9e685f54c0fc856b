// Trains on rows in a file, in random order, and resumes after an interruption.
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
let matrix = folder + "/activations.npy"
try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2400, 32), }"
while (header.utf8.count + 11) % 64 != 0 { header += " " }
var bytes = Data([0x93]) + Data("NUMPY\u{1}\u{0}".utf8)
bytes += [UInt8(header.utf8.count + 1), 0] + Data((header + "\n").utf8)
for number in rows.elements {
  withUnsafeBytes(of: number.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
}
try bytes.write(to: URL(fileURLWithPath: matrix))
var options = TrainingOptions()
(options.experts, options.sublatents, options.subspace, options.k) = (16, 4, 2, 2)
(options.steps, options.batch, options.learningRate) = (300, 256, 5e-3)
// snippet.show
let file = try RowFile(path: matrix)
print(file.count, "rows of width", file.width)

do {
  let training = try Training(options, width: file.width, run: path)
  try await training.run(on: file.shuffledBatches(of: training.batch, seed: 7).prefix(120))
  print("interrupted after", training.step, "steps")
}

// Later, perhaps in another process: continue with the next rows. The result has the same bits.
let training = try Training(resuming: path)
try await training.run(
  on: file.shuffledBatches(of: training.batch, seed: 7, startingAt: training.step))
// snippet.hide
print("finished:", training.isFinished, training.dictionary().step)
let whole = try Training(options, width: 32)
try await whole.run(on: file.shuffledBatches(seed: 7))
let same =
  whole.dictionary().encode(rows).all == training.dictionary().encode(rows).all
print("the same as without the interruption:", same)
// Prints:
// 2400 rows of width 32
// interrupted after 120 steps
// finished: true 300
// the same as without the interruption: true
