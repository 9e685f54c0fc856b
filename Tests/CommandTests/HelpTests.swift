// Help texts, compared with snapshots, and wrong usage.

import HSAETestSupport
import Testing

@Suite struct HelpTests {
  /// Help is wrapped to the terminal's width; here it is always the same.
  static let environment = ["COLUMNS": "100"]

  /// The subcommands that `hsae --help` lists.
  static func subcommands() throws -> [String] {
    let help = try runHSAE(["--help"], environment: environment).output
    let lines = help.split(separator: "\n").drop { $0 != "SUBCOMMANDS:" }.dropFirst()
    return lines.prefix { !$0.contains("hsae help") }.compactMap { line in
      line.hasPrefix("  ") && !line.hasPrefix("   ")
        ? line.split(separator: " ").first.map(String.init) : nil
    }
  }

  @Test func helpHasNotChanged() throws {
    var helps = [(["train", "--help"], "train.txt")]
    #if Explorer
    helps += [(["--help"], "hsae.txt")]
    helps += ["evaluate", "explain", "explore", "steer"].map { ([$0, "--help"], $0 + ".txt") }
    #endif
    for (arguments, name) in helps {
      let result = try runHSAE(arguments, environment: Self.environment)
      #expect(result.code == 0)
      try expectSnapshot(result.output, name)
    }
  }

  @Test func everySubcommandHasHelp() throws {
    let subcommands = try Self.subcommands()
    #expect(subcommands.contains("train") && subcommands.contains("unembed"))
    for name in subcommands {
      for arguments in [[name, "--help"], ["help", name]] {
        let result = try runHSAE(arguments, environment: Self.environment)
        #expect(result.code == 0, "\(arguments)")
        #expect(result.output.contains("USAGE: hsae \(name)"))
        #expect(result.errors.isEmpty)
      }
    }
  }

  /// Every key of a configuration file is an option and has help.
  @Test func everyOptionOfTrainHasHelp() throws {
    let help = try runHSAE(["train", "--help"], environment: Self.environment).output
    for option in [
      "experts", "sublatents", "subspace", "k", "steps", "epochs", "batch", "seed", "threads",
      "precision", "order", "normalize", "init", "learning-rate", "learning-rate-start",
      "learning-rate-floor", "warmup", "schedule", "clip", "beta", "ortho", "l1", "l1-scope",
      "regularizer-warmup", "threshold", "threshold-sub", "slope-top", "slope-sub", "bias", "auxk",
      "auxk-k", "dead-window", "preset", "checkpoint-every", "keep", "out", "resume", "config",
      "also", "moments", "order-seed", "activation", "batchtopk-rate", "batchtopk-start",
      "jumprelu-bandwidth", "jumprelu-start", "l0-weight", "l0-target", "dead-penalty",
      "most-active",
      "freeze", "decoder-cosine", "encoder-bias", "matryoshka", "matryoshka-weights", "auxk-scope",
      "auxk-scale",
    ] {
      #expect(help.contains("--\(option) ") || help.contains("--\(option)\n"), "--\(option)")
    }
  }

  @Test(arguments: [
    ["nonsense"], ["train"], ["train", "rows.npy"], ["train", "--out", "x"],
    ["train", "rows.npy", "--out", "x", "--colour", "red"],
    ["train", "rows.npy", "--out", "x", "--k", "many"],
    ["train", "rows.npy", "--out", "x", "--k"],
    ["train", "rows.npy", "--out", "x", "--precision", "float16"],
    ["train", "rows.npy", "--out", "x", "--threads", "0"],
    ["train", "rows.npy", "--out", "x", "--threads", "-1"],
    ["train", "rows.npy", "--out", "x", "--seed", "-1"],
    ["train", "rows.npy", "more.npy", "--out", "x"],
    ["fetch"], ["unembed"], ["lookup", "run", "dog", ""], ["help", "nope"],
  ])
  func wrongUsageExits64(_ arguments: [String]) throws {
    let result = try runHSAE(arguments)
    #expect(result.code == 64)
    #expect(result.output.isEmpty)
    #expect(result.errors.contains("rror: "), "\(result.errors)")
  }

  @Test func unknownCommandsAreNamedWithTheNearest() throws {
    let near = try runHSAE(["evalaute", "run"])
    #expect(near.code == 64 && near.errors.contains("\"evalaute\"; did you mean evaluate?"))
    let help = try runHSAE(["help", "trainn"])
    #expect(help.code == 64 && help.errors.contains("\"trainn\"; did you mean train?"))
    let far = try runHSAE(["frobnicate"])
    #expect(far.code == 64 && far.errors.contains("no command \"frobnicate\"; there are "))
    #expect(far.errors.contains("evaluate, ") && !far.output.contains("evaluate"))
  }
}
