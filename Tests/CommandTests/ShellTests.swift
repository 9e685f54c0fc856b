// What shells use: version, completions, manual pages; and the script of the long tests. Tests for shells and tools that
// this machine does not have are skipped; bash and Python are always there.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@Suite struct ShellTests {
  static let tree = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  /// The path of a program, if it is installed.
  static func program(_ name: String) -> String? {
    ["/usr/bin/", "/bin/", "/usr/local/bin/"].map { $0 + name }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  static func run(_ program: String, _ arguments: [String]) throws -> CommandResult {
    try RunningCommand(
      program, arguments, environment: ["PATH": Path.parent(hsaeExecutable) + ":/usr/bin:/bin"]
    ).result()
  }

  @Test func versionSaysWhatWasBuilt() throws {
    let result = try runHSAE(["--version"])
    #expect(result.code == 0)
    let lines = result.output.split(separator: "\n").map(String.init)
    let first = try #require(lines.first)
    #expect(
      first.wholeMatch(of: /hsae \d+\.\d+\.\d+ \((commit unknown|[0-9a-f]{7,}(, modified)?)\)/)
        != nil,
      "\(first)")
    for name in ["build:", "compiler:", "kernels:", "products:", "llama.cpp:"] {
      #expect(lines.contains { $0.hasPrefix(name) && $0.count >= 15 }, "\(name)")
    }
  }

  @Test(arguments: ["bash", "zsh", "fish"])
  func completionScriptsAreScripts(_ shell: String) throws {
    let script = try runHSAE(["--generate-completion-script", shell])
    #expect(script.code == 0)
    #expect(script.output.contains("paper-32k-64"))
    guard let program = Self.program(shell) else { return }
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "script")
      try DurableFile.write(script.output, to: path)
      let checked = try Self.run(program, ["-n", path])
      #expect(checked.code == 0 && checked.errors.isEmpty, "\(checked.errors)")
    }
  }

  /// Words of a command line with the cursor at the end, and something bash then offers.
  @Test(arguments: [
    (["fe"], "fetch"), (["fetch", "gemma-3-2"], "gemma-3-270m"),
    (["train", "rows.npy", "--preset", "paper-1"], "paper-16k-64"),
    (["collect", "synt"], "synthetic"), (["corpus", "wiki"], "wiki-leads"),
    (["explain", "run", "store", "--model", "model"], "model.gguf"),
    (["unembed", "folder/in"], "folder/inner.gguf"),
    (["evaluate", "run", "--suite", "abs"], "absorption"),
    (["evaluate", "run", "--suite", "core,abs"], "core,absorption"),
    (["evaluate", "run", "--suite", "core,cost,"], "core,cost,crosslingual"),
    (["train", "--resu"], "--resume"),
  ])
  func bashCompletes(_ words: [String], _ wanted: String) throws {
    try withTemporaryFolder { folder in
      try Path.createDirectories(Path.join(folder, "folder"))
      for name in ["model.gguf", "model.txt", "folder/inner.gguf"] {
        try DurableFile.write("", to: Path.join(folder, name))
      }
      let script = try runHSAE(["--generate-completion-script", "bash"]).output
      try DurableFile.write(script, to: Path.join(folder, "script"))
      let line = (["hsae"] + words).joined(separator: " ")
      let asked = try Self.run(
        "/bin/bash",
        [
          "-c",
          """
          cd \(folder) && . ./script
          COMP_LINE='\(line)' COMP_POINT=\(line.count) COMP_WORDS=(\(line)) COMP_CWORD=\(words.count)
          _hsae hsae '\(words.last ?? "")' '\(words.dropLast().last ?? "hsae")'
          printf '%s\\n' "${COMPREPLY[@]}"
          """,
        ])
      let offered = asked.output.split(separator: "\n").map {
        $0.trimmingCharacters(in: .whitespaces)
      }
      #expect(offered.contains(wanted), "\(line): \(offered) \(asked.errors)")
      #expect(!offered.contains("model.txt"))
    }
  }

  @Test func manualPagesAreWithoutWarnings() throws {
    try withTemporaryFolder { folder in
      let made = try Self.run(
        "/usr/bin/env",
        ["python3", Self.tree + "/scripts/manual.py", hsaeExecutable, "man", folder, "2026-11-23"])
      #expect(made.code == 0, "\(made.errors)")
      let pages = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      #expect(Set(pages).isSuperset(of: ["hsae.1", "hsae-train.1", "hsae-evaluate.1"]))
      #expect(pages.count == (try HelpTests.subcommands().count) + 1)
      guard let groff = Self.program("groff") else { return }
      let paths = pages.map { Path.join(folder, $0) }
      let options = ["-ww", "-b", "-z", "-K", "utf8", "-T", "utf8", "-man"]
      let checked = try Self.run(groff, options + paths)
      #expect(checked.code == 0 && checked.errors.isEmpty, "\(checked.errors.prefix(500))")
    }
  }

  /// `make soak`, with true and false as the parts' programs.
  @Test func partsOfTheLongTestsThatPassedAreSkipped() throws {
    try withTemporaryFolder { folder in
      func bash(_ script: String) throws -> CommandResult {
        try Self.run("/bin/bash", ["-c", "cd '\(folder)' && \(script)"])
      }
      let made = try bash(
        "mkdir scripts Tests && cp '\(Self.tree)/scripts/soak.sh' scripts && echo '.build*' >.gitignore"
          + " && git init -q && git add . && git -c user.name=a -c user.email=a@b.c commit -qm a")
      #expect(made.code == 0, "\(made.errors)")
      let passed = try bash("MAKE=true scripts/soak.sh bench-check")
      #expect(passed.code == 0 && passed.output.contains("passed   bench-check"), "\(passed)")
      let next = try bash("MAKE=false scripts/soak.sh bench-check test-mpi")
      #expect(next.code == 1, "\(next)")
      #expect(next.output.contains("skipped  bench-check"))
      #expect(next.output.contains("failed   test-mpi"))
      let changed = try bash("touch Tests/a && MAKE=true scripts/soak.sh bench-check")
      #expect(changed.code == 0 && changed.output.contains("passed   bench-check"), "\(changed)")
      #expect(try bash("scripts/soak.sh everything").code == 64)
    }
  }
}
