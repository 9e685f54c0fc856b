// hsae steer as people run it, on the synthetic model.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@Suite struct SteerCommandTests {
  /// A run on a store of the synthetic model; `body` gets the run's folder and the store's.
  private func withRun(_ body: (_ run: String, _ store: String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let (store, runs) = try collectAndTrain(
        in: folder, documents: 60,
        sizes: [
          "--experts", "40", "--sublatents", "4", "--subspace", "3", "--k", "3", "--batch", "64",
        ])
      try body(runs[0], store)
    }
  }

  /// A latent that is active in the store.
  private func live(_ run: String) throws -> Int {
    for latent in 0..<40 {
      let result = try runHSAE(arguments(run, ["--latent", "\(latent)", "--strength", "1"]))
      if result.code == 0 { return latent }
    }
    throw Failure(.software, "no latent is ever active")
  }

  private func arguments(_ run: String, _ rest: [String]) -> [String] {
    ["steer", run, "--model", "synthetic", "--prompt", "the w1 of w2", "--tokens", "8"] + rest
  }

  @Test func textsAreWrittenWithAndWithoutSteering() throws {
    try withRun { run, store in
      let latent = try live(run)
      let steer = arguments(run, ["--latent", "\(latent)"])
      let text = try runHSAE(steer + ["--strength", "-1,0,2", "--ablate"])
      #expect(text.code == 0, "\(text.errors)")
      for part in ["without", "× -1", "× 0", "× 2", "ablated", "latent \(latent) (at most "] {
        #expect(text.output.contains(part), "\(text.output)")
      }
      let json = try runHSAE(steer + ["--strength", "0,50", "--json", "--seed", "3"])
      let tree = try JSONValue(parsing: Array(json.output.utf8), source: "output")
      let steered = try #require(tree["steered"]?.array)
      #expect(steered.count == 2 && tree["text"]?.string == steered[0]["text"]?.string)
      #expect(steered[0]["text"]?.string != steered[1]["text"]?.string)
      let again = try runHSAE(
        steer + ["--strength", "0,50", "--json", "--seed", "3", "--threads", "1"])
      #expect(again.output == json.output)
      // If the store is gone, options can give what it would provide.
      try FileManager.default.moveItem(atPath: store, toPath: store + "-moved")
      let gone = try runHSAE(steer + ["--strength", "1"])
      expectRefusal(gone, 66, ["--store", "--max-activation"])
      let said = try runHSAE(
        steer + ["--strength", "1", "--layer", "3", "--max-activation", "0.5"])
      #expect(said.code == 0 && said.output.contains("at most 0.5"), "\(said.errors)")
      // The run itself records the block.
      let recorded = try runHSAE(steer + ["--strength", "1", "--max-activation", "0.5"])
      #expect(recorded.code == 0 && recorded.output == said.output, "\(recorded.errors)")
      let evaluate = [
        "evaluate", run, "--model", "synthetic", "--suite", "core", "--loss-tokens", "500",
        "--text",
        Path.join(Path.parent(run), "corpus.txt"),
      ]
      let (known, named) = (try runHSAE(evaluate), try runHSAE(evaluate + ["--layer", "3"]))
      #expect(known.code == 0 && known.output == named.output, "\(known.errors)")
    }
  }

  @Test func invalidRequestsGiveOneSentence() throws {
    try withRun { run, _ in
      func refused(_ rest: [String], _ code: Int32, _ parts: [String]) throws {
        expectRefusal(try runHSAE(arguments(run, rest)), code, parts)
      }
      try refused(["--latent", "40", "--strength", "1"], 64, ["0 to 39"])
      try refused(["--latent", "3.4", "--strength", "1"], 64, ["3.4", "0.3"])
      try refused(["--latent", "3", "--strength", "1", "--with-parent"], 64, ["--with-parent"])
      try refused(
        ["--latent", "3", "--strength", "1", "--layer", "9", "--max-activation", "1"], 64,
        ["blocks 0 to 3"])
      let other = try runHSAE([
        "steer", run, "--model", "smollm2-135m", "--prompt", "a", "--latent", "3", "--strength",
        "1", "--max-activation", "1",
      ])
      #expect(other.code == 65 && other.errors.contains("another"), "\(other.errors)")
      for rest in [
        ["--latent", "3"], ["--latent", "3", "--strength", "x"],
        ["--latent", "3", "--strength", "1e9"],
        ["--latent", "3", "--strength", "1", "--tokens", "0"],
        ["--latent", "3", "--strength", "1", "--temperature", "-1"],
        ["--latent", "3", "--strength", "1", "--max-activation", "0"], ["--strength", "1"],
      ] {
        let result = try runHSAE(arguments(run, rest))
        #expect(result.code == 64 && result.output.isEmpty, "\(rest): \(result.errors)")
      }
      #expect(
        try runHSAE([
          "steer", run + "-none", "--prompt", "a", "--latent", "3", "--strength", "1",
        ]).code == 66)
    }
  }
}
