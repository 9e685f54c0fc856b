// A store of the synthetic model and two runs on it, made with the hsae command.

import HSAESupport

/// Writes `documents` lines of text into `folder`, collects a store of them (a fifth held out), and trains
/// an H-SAE ("h") and a flat SAE ("flat") on it with `sizes` for 60 steps. `collecting` are more options of
/// hsae collect.
///
/// Fails with the command's message.
public func collectAndTrain(
  in folder: String, documents: Int, sizes: [String], collecting: [String] = []
) throws -> (store: String, runs: [String]) {
  let corpus = Path.join(folder, "corpus.txt")
  let lines = (0..<documents).map { "the w\($0 % 17) of w\($0 % 23) is w\($0 * 7 % 31)" }
  try DurableFile.write(lines.joined(separator: "\n") + "\n", to: corpus)
  let store = Path.join(folder, "store")
  let runs = ["h", "flat"].map { Path.join(folder, $0) }
  for command in [
    ["collect", "synthetic", "--layer", "3", "--text", corpus, "--out", store, "--holdout", "0.2"]
      + collecting,
    ["train", store, "--out", runs[0], "--also", "\(runs[1]):sublatents=0", "--steps", "60"]
      + sizes,
  ] {
    let result = try runHSAE(command)
    guard result.code == 0 else { throw Failure(.software, "\(command): \(result.errors)") }
  }
  return (store, runs)
}
