// What commands print: results that are lost (exit code 74), and where long work is.

import HSAESupport
import HSAETestSupport
import Testing

@Suite struct OutputTests {
  @Test func aResultThatIsLostExits74() throws {
    guard Path.exists("/dev/full") else { return }
    try withTemporaryFolder { folder in
      // The header of a file without metadata and tensors.
      let model = Path.join(folder, "empty.gguf")
      try DurableFile.write(
        Array("GGUF".utf8) + [3, 0, 0, 0] + [UInt8](repeating: 0, count: 16), to: model)
      let whole = try runHSAE(["fetch", model])
      #expect(whole.code == 0 && whole.output.hasSuffix("empty.gguf\n"), "\(whole.errors)")
      let lost = try RunningCommand(
        "/bin/sh", ["-c", "exec \"$0\" \"$@\" > /dev/full", hsaeExecutable, "fetch", model]
      ).result()
      #expect(lost.code == 74 && lost.output.isEmpty)
      let last = lost.errors.split(separator: "\n").last ?? ""
      #expect(
        last.hasPrefix("hsae: standard output: ") && last.hasSuffix("; nothing more was printed."),
        "\(lost.errors)")
      for arguments in [["--help"], ["help", "train"], ["--version"]] {
        let help = try RunningCommand(
          "/bin/sh", ["-c", "exec \"$0\" \"$@\" > /dev/full", hsaeExecutable] + arguments
        ).result()
        #expect(help.code == 74 && help.errors.hasPrefix("hsae: standard output: "))
      }
    }
  }

  /// Standard error is a file here, as in a batch job.
  @Test func longWorkSaysWhereItIs() throws {
    try withTemporaryFolder { folder in
      let corpus = Path.join(folder, "corpus.txt")
      let store = Path.join(folder, "store")
      let run = Path.join(folder, "run")
      try DurableFile.write(
        (0..<200).map { "the w\($0 % 17) of w\($0 % 23)\n" }.joined(), to: corpus)
      expectRefusal(
        try runHSAE(["info", corpus], environment: ["HSAE_PROGRESS_SECONDS": "a minute"]), 64,
        ["HSAE_PROGRESS_SECONDS", "\"a minute\"", "60"])
      let environment = ["HSAE_CACHE": folder, "HSAE_PROGRESS_SECONDS": "0"]
      for (command, arguments) in [
        ("collect", ["synthetic", "--layer", "3", "--text", corpus, "--out", store]),
        ("train", [store, "--out", run, "--steps", "9"] + CommandFixture.small),
        ("evaluate", [run, "--model", "synthetic", "--loss-tokens", "100"]),
        ("bench", ["--from", run, "--block-steps", "1", "--blocks", "1"]),
      ] {
        let result = try runHSAE([command] + arguments, environment: environment)
        #expect(result.code == 0, "\(result.errors)")
        let lines = result.errors.split(separator: "\n")
          .filter { $0.hasPrefix("hsae \(command): after ") }
        #expect(!lines.isEmpty, "\(result.errors)")
        if command == "train" {
          #expect(lines.last?.contains(": 576/576 rows, 100 %, ") == true, "\(lines)")
        }
        // Short work says nothing.
        if command == "evaluate" {
          let short = try runHSAE([command] + arguments)
          #expect(!short.errors.contains("after "), "\(short.errors)")
        }
      }
    }
  }

  @Test func foldersOtherThanStoresAreNotReplaced() throws {
    try withTemporaryFolder { folder in
      try DurableFile.write("keep", to: Path.join(folder, "notes"))
      // The error comes before the model is looked for.
      let result = try runHSAE([
        "unembed", Path.join(folder, "none.gguf"), "--out", folder, "--replace",
      ])
      expectRefusal(result, 73, [folder, "not an activation store"])
      #expect(try Path.list(folder) == ["notes"])
    }
  }
}
