// Whether contexts begin with BOS, from hsae collect to what other tools read.

import HSAESupport
import HSAETestSupport
import Testing

@Suite struct BOSCommandTests {
  /// The synthetic model declares BOS.
  @Test(arguments: ["auto", "always", "never"])
  func theChoiceGoesOn(_ rule: String) throws {
    try withTemporaryFolder { folder in
      let (store, runs) = try collectAndTrain(
        in: folder, documents: 60, sizes: CommandFixture.small, collecting: ["--bos", rule])
      let begins = rule != "never"
      let info = try runHSAE(["info", store]).output
      let words = begins ? "that begin with BOS" : "without BOS"
      #expect(info.contains("contexts of 256 tokens \(words) (--bos \(rule))"), "\(info)")
      let json = try runHSAE(["info", store, "--json"]).output
      let tree = try JSONValue(parsing: Array(json.utf8), source: "info")
      #expect(tree["attributes"]?["collection"]?["bos"]?.string == rule)
      #expect(tree["beginsWithBOS"]?.bool == begins)

      let out = Path.join(folder, "saelens")
      #expect(try runHSAE(["export", runs[1], "--out", out]).code == 0)
      let metadata = try JSONFile.readTree(from: Path.join(out, "cfg.json"))["metadata"]
      #expect(metadata?["prepend_bos"]?.bool == begins)
      // It survives an import and another export, whatever the store says.
      let back = Path.join(folder, "back")
      #expect(try runHSAE(["import", out, "--out", back]).code == 0)
      #expect(try runHSAE(["export", back, "--out", out + "2"]).code == 0)
      let again = try JSONFile.readTree(from: Path.join(out + "2", "cfg.json"))["metadata"]
      #expect(again?["prepend_bos"]?.bool == begins)

      // A prompt without text has a token to go on from only if contexts begin with BOS. The imported run has no
      // store, but its files say it too.
      for (run, more) in [(runs[0], []), (back, ["--layer", "3", "--max-activation", "1"])] {
        let steered = try runHSAE(
          [
            "steer", run, "--model", "synthetic", "--latent", "0", "--ablate", "--prompt", "",
            "--tokens", "2",
          ] + more)
        #expect(steered.code == (begins ? 0 : 64), "\(steered.errors)")
        #expect(begins || steered.errors.contains("needs a first token"))
      }
    }
  }
}
