// Rows with a planted hierarchy, options of a small training, and rows in pieces of uneven size.

import HSAE
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

/// Rows of width 20 in a file, and options of a run of 24 steps of 77 of them.
struct LibraryFixture {
  let folder: String
  let rows: Rows
  var options = TrainingOptions()

  init(in folder: String, rows count: Int = 2_000) throws {
    self.folder = folder
    let planted = PlantedHierarchy(
      width: 20, parents: 12, children: 3, subspace: 2, active: 2, seed: 1)
    rows = Rows(elements: planted.rows(count), width: 20)
    try writeNumpy(rows.elements, width: 20, to: Path.join(folder, "rows.npy"))
    options.experts = 40
    options.sublatents = 4
    options.subspace = 3
    options.k = 3
    options.steps = 24
    // Not a multiple of 64, so that every kernel has a remainder.
    options.batch = 77
    options.seed = 5
    options.recordEvery = 5
    options.checkpointEvery = 7
  }

  /// The file of the rows.
  var file: String { path("rows.npy") }

  func path(_ name: String) -> String { Path.join(folder, name) }

  /// The options as arguments of `hsae train`.
  var arguments: [String] {
    let sizes = [
      "--experts": options.experts, "--sublatents": options.sublatents,
      "--subspace": options.subspace, "--k": options.k.map { Int($0) }, "--steps": options.steps,
      "--batch": options.batch, "--seed": options.seed.map(Int.init),
      "--record-every": options.recordEvery, "--checkpoint-every": options.checkpointEvery,
    ]
    return sizes.sorted { $0.key < $1.key }.flatMap { name, value in
      value.map { [name, String($0)] } ?? []
    } + (options.bias == .geometricMedian ? ["--bias", "geometric-median"] : [])
  }

  /// The bytes of the weights of the newest checkpoint of the run `name`.
  func weights(_ name: String) throws -> [UInt8] {
    let checkpoints = Path.join(path(name), "checkpoints")
    let newest = try #require(Path.list(checkpoints).filter { $0.hasPrefix("step") }.max())
    return fileBytes(Path.join(Path.join(checkpoints, newest), "hsae_weights.safetensors"))
  }
}

/// `rows` in pieces of uneven size, some of them empty, repeated `times` times.
struct Pieces: AsyncSequence {
  let rows: Rows
  var times = 1
  /// Throws after that many pieces.
  var failsAfter: Int?

  struct Broken: Error {}

  struct AsyncIterator: AsyncIteratorProtocol {
    var pieces: Pieces
    var place = 0
    var count = 0

    mutating func next() async throws -> Rows? {
      if count == pieces.failsAfter { throw Broken() }
      count += 1
      let total = pieces.rows.count
      if place >= total * pieces.times { return nil }
      let first = place % total
      let size = Swift.min([1, 150, 0, 64, 301][count % 5], total - first)
      place += size
      let width = pieces.rows.width
      return Rows(
        elements: Array(pieces.rows.elements[first * width..<(first + size) * width]), width: width)
    }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pieces: self) }
}
