// Divides an evaluation among the processes that mpirun started. Work that can fail runs inside `agree`, with
// no other communication in it, so that a failure of one rank ends all ranks (docs/decisions/0010-ranks.md).

import HSAEActivations
import HSAEDistribution
import HSAELanguageModels
internal import HSAERuns
import HSAESupport
import HSAETensors

/// Divides consecutive pieces of work, with the sizes `work`, into `parts` ranges of similar total size.
func sharesOfWork(_ work: [Int], among parts: Int) -> [Range<Int>] {
  let total = work.reduce(0, +)
  var bounds = [0]
  var (next, done) = (0, 0)
  for part in 1..<max(1, parts) {
    // A piece goes to the part that contains its middle.
    while next < work.count, (2 * done + work[next]) * parts < 2 * part * total {
      done += work[next]
      next += 1
    }
    bounds.append(next)
  }
  bounds.append(work.count)
  return zip(bounds, bounds.dropFirst()).map { $0..<$1 }
}

extension Communicator {
  /// The share of this rank (or of rank `other`) of `count` equal pieces of work.
  func share(of count: Int, rank other: Int? = nil) -> Range<Int> {
    let rank = other ?? rank
    return rank * count / size..<(rank + 1) * count / size
  }

  /// Gives every rank all rows of `matrix`; before the call, rank r has the rows `parts[r]`.
  func gather(_ matrix: inout Matrix, rows parts: [Range<Int>]) {
    let bytes = matrix.columns * MemoryLayout<Float>.stride
    unsafe matrix.withUnsafeMutablePointer { memory in
      unsafe gather(
        UnsafeMutableRawPointer(memory),
        parts.map { $0.lowerBound * bytes..<$0.upperBound * bytes })
    }
  }
}

extension EvaluationInput {
  /// `model(for:suite:)`; fails with `.data` unless all ranks have the same model.
  func sharedModel(
    for runs: [LoadedRun], suite: String
  ) throws(Failure) -> any ResidualStreamModel {
    let model = try ranks.agree { () throws(Failure) in try self.model(for: runs, suite: suite) }
    let (name, type) = (model.description.name, model.description.weightsType)
    try ranks.requireAlike("\(model.description.sha256) \(type)") { rank, _, _ in
      .data(
        "The model of rank \(rank) is not that of rank 0 (\(name), computing in \(type)); give all ranks the same"
          + " file, and run them on the same kind of machine.")
    }
    return model
  }

  /// Fails unless all ranks have the same options, suites, runs, rows and text.
  func requireAlike(_ runs: [LoadedRun], _ suites: [any EvaluationSuite.Type]) throws(Failure) {
    guard ranks.size > 1 else { return }
    var alike = options
    alike.threads = 1
    try ranks.requireAlike("\(suites.map { $0.name }) \(hasModel) \(alike)") { rank, _, _ in
      .usage("Rank \(rank) has other options than rank 0; give all ranks the same.")
    }
    var described: [String] = []
    for run in runs {
      // Each machine may have its copy of the data at another path.
      let text = try JSONFile.encode(run.description.withoutPath)
      described.append("\(run.name) \(run.step) \(text)")
    }
    try ranks.requireAlike(described.joined(separator: "\n")) { rank, _, _ in
      .data(
        "The runs of rank \(rank), or their newest checkpoints, are not those of rank 0; give all ranks the"
          + " same.")
    }
    let paths = ranks.gathered(source?.path ?? "--text")
    try ranks.check()
    let held = try ranks.agree { () throws(Failure) in try fingerprintOfHoldout() }
    let rows = "\(source?.fingerprint ?? "") \(source?.rowCount ?? 0) \(held)"
    let data = rows + " " + fingerprintOfText()
    try ranks.requireAlike(data) { rank, _, _ in
      .data(
        "\(paths[rank]): the data of rank \(rank) are not those of rank 0 (\(paths[0])); give all ranks the"
          + " same.")
    }
  }
}
