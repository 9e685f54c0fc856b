// Results that cannot be printed: the error says so, and the exit code is 74.

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
