// hsae evaluate as people run it: from a collected store to a table, JSON, files and a page. The same seed gives
// the same bytes, and each error is one sentence.

import HSAESupport
import HSAETestSupport
import Testing

@Suite struct EvaluateCommandTests {
  /// A store of the synthetic model, and an H-SAE and a flat SAE trained on it, in `folder`.
  private func prepare(_ folder: String) throws -> (store: String, runs: [String]) {
    try collectAndTrain(in: folder, documents: 200, sizes: CommandFixture.small)
  }

  @Test func evaluatingAStoreWritesFiles() throws {
    try withTemporaryFolder { folder in
      let (_, runs) = try prepare(folder)
      let out = Path.join(folder, "evaluation")
      let command = ["evaluate"] + runs + ["--model", "synthetic", "--loss-tokens", "500"]
      let plain = try runHSAE(command)
      #expect(plain.code == 0, "\(plain.errors)")
      for part in ["core", "held-out rows", "CE loss score", "cost", "paper’s formula", "flat"] {
        #expect(plain.output.contains(part), "\(part)")
      }
      let json = try runHSAE(command + ["--json", "--threads", "1", "--out", out])
      #expect(json.code == 0)
      let tree = try JSONValue(parsing: Array(json.output.utf8), source: "output")
      #expect(tree["runs"]?.array?.count == 2)
      #expect(try runHSAE(command + ["--json"]).output == json.output)
      #expect(try runHSAE(command + ["--json", "--seed", "1"]).output != json.output)
      #expect(fileBytes(Path.join(out, "evaluation.json")) == Array(json.output.utf8))
      #expect(
        try Path.list(Path.join(out, "saebench")) == [
          "hsae_flat_core_eval_results.json", "hsae_h_core_eval_results.json",
        ])
      #expect(!fileBytes(Path.join(out, "index.html")).isEmpty)

      let page = Path.join(folder, "page.html")
      let figures = Path.join(folder, "figures")
      let made = try runHSAE(
        ["report"] + runs
          + [
            "--evaluation", Path.join(out, "evaluation.json"), "--figures", figures, "--out", page,
          ])
      #expect(made.code == 0, "\(made.errors)")
      #expect(
        try Path.list(figures) == [
          "figure-3a.svg", "figure-3b.svg", "results.md", "training.svg",
        ])
      // --evaluation takes the folder or the file in it.
      let whole = try runHSAE(["report"] + runs + ["--evaluation", out, "--out", page])
      #expect(whole.code == 0, "\(whole.errors)")
      let text = String(decoding: fileBytes(page), as: UTF8.self)
      #expect(text.contains("id=\"evaluation\"") && text.contains("id=\"numbers\""))
      // The first numbers are for held-out rows, or without an evaluation for training rows, and say so.
      #expect(text.contains("on held-out rows") && whole.output.contains("held out"))
      let own = try runHSAE(["report"] + runs + ["--out", page])
      let bare = String(decoding: fileBytes(page), as: UTF8.self)
      #expect(bare.contains("on training rows") && !bare.contains("on held-out rows"))
      #expect(own.output.contains("measured on all ") && !own.output.contains("held out"))
    }
  }

  /// Output that does not go to a terminal has any width, unless COLUMNS sets one.
  @Test func columns() throws {
    try withTemporaryFolder { folder in
      let (_, runs) = try prepare(folder)
      func widths(_ environment: [String: String]) throws -> [Int] {
        let result = try runHSAE(
          ["evaluate"] + runs + ["--suite", "core"], environment: environment)
        #expect(result.code == 0, "\(result.errors)")
        // Only the table's lines.
        return result.output.split(separator: "\n").filter { $0.contains("[") }.map(\.count)
      }
      #expect(try widths(["COLUMNS": ""]).max() ?? 0 > 100)
      #expect(try widths(["COLUMNS": "80"]).max() ?? 0 <= 80)
    }
  }

  @Test func crosslingualSentences() throws {
    try withTemporaryFolder { folder in
      let (_, runs) = try prepare(folder)
      let sentences = Path.join(folder, "sentences.json")
      let list = (0..<20).map { "{\"en\": \"the w\($0) is\", \"fr\": \"le w\($0) est\"}" }
      try DurableFile.write("[\(list.joined(separator: ","))]", to: sentences)
      let command =
        ["evaluate"] + runs + ["--suite", "crosslingual", "--sentences", sentences]
      let result = try runHSAE(command + ["--model", "synthetic"])
      #expect(result.code == 0, "\(result.errors)")
      #expect(result.output.contains("difference en–fr") && result.output.contains("20 sentences"))
      expectRefusalOfSuite(try runHSAE(command), 64, ["crosslingual", "--model"])
    }
  }

  @Test func invalidRequestsGiveOneSentence() throws {
    try withTemporaryFolder { folder in
      let (store, runs) = try prepare(folder)
      let fixture = try CommandFixture(in: folder)
      #expect(try runHSAE(fixture.training("other", ["--steps", "5"])).code == 0)
      let other = fixture.path("other")
      expectRefusal(try runHSAE(["evaluate", runs[0], "--suite", "cores"]), 64, ["core"])
      expectRefusal(
        try runHSAE(["evaluate", runs[0], runs[1], runs[0] + "/."]), 64, ["named twice"])
      expectRefusal(try runHSAE(["evaluate", runs[0], other]), 64, ["different rows", "--store"])
      expectRefusal(
        try runHSAE(["evaluate", other, "--store", store]), 65, ["width 64", "needs 20"])
      expectRefusal(try runHSAE(["evaluate", fixture.path("none")]), 66, ["no such run"])
      expectRefusal(
        try runHSAE(["evaluate", runs[0], "--out", fixture.path("none/x.json")]), 73,
        ["no such folder"])
      expectRefusal(try runHSAE(["evaluate", runs[0], "--out", ""]), 64, ["empty"])
      expectRefusal(
        try runHSAE(["evaluate", runs[0], "--out", fixture.data + "/x"]), 73, [fixture.data])
      // What is refused leaves no folder behind.
      let unmade = fixture.path("unmade/folder")
      expectRefusal(
        try runHSAE(["evaluate", runs[0], "--model", fixture.path("none.gguf"), "--out", unmade]),
        66, ["none.gguf"])
      #expect(!Path.exists(fixture.path("unmade")))
      // Results of suites before the one that fails are printed.
      let partial = try runHSAE(["evaluate", runs[0], "--suite", "core,hierarchy"])
      #expect(partial.code == 65 && partial.output.contains("explained variance"))
      #expect(partial.errors.contains("topic"))
      // The numbers are printed even if the file cannot be written.
      try Path.createDirectories(fixture.path("taken.json/inside"))
      let late = try runHSAE(["evaluate", runs[0], "--out", fixture.path("taken.json")])
      #expect(late.code != 0 && late.output.contains("explained variance"))
      expectRefusalOfSuite(
        try runHSAE(["evaluate", other, "--model", "synthetic"]), 65,
        ["residual stream has the width 64", "for 20"])
      expectRefusalOfSuite(
        try runHSAE(["evaluate", runs[0], "--model", "synthetic", "--layer", "1"]), 64,
        ["--layer 1", "block 3"])
      #expect(try runHSAE(["evaluate", runs[0], "--text", store]).code == 64)
      #expect(try runHSAE(["evaluate", runs[0], "--tokens", "few"]).code == 64)
      // Training rows never replace missing held-out rows silently.
      Path.removeAll(Path.join(store, "holdout"))
      expectRefusalOfSuite(try runHSAE(["evaluate", runs[0]]), 65, ["held-out rows", "are gone"])
      // A page that cannot be written is an error before anything is measured.
      var places = [fixture.folder]
      if Path.isDirectory("/proc") { places.append("/proc/hsae-page.html") }
      for place in places {
        expectRefusal(try runHSAE(["report", runs[0], "--out", place]), 73, [place])
      }
      // A file is not a run.
      for command in ["evaluate", "lookup"] {
        expectRefusal(
          try runHSAE([command, fixture.data] + (command == "lookup" ? ["dog"] : [])), 66,
          ["\(fixture.data): this is a file"])
      }
      #expect(try runHSAE(["evaluate"]).code == 64)
      #expect(try runHSAE(["report", "--out", fixture.path("page.html")]).code == 64)
    }
  }

  /// An error after suites were announced.
  private func expectRefusalOfSuite(
    _ result: CommandResult, _ code: Int32, _ parts: [String],
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(result.code == code, "\(result.errors)", sourceLocation: location)
    #expect(result.output.isEmpty, sourceLocation: location)
    let last = result.errors.split(separator: "\n").last ?? ""
    #expect(last.hasPrefix("hsae: "), sourceLocation: location)
    for part in parts {
      #expect(last.contains(part), "\(part) in \(last)", sourceLocation: location)
    }
  }
}
