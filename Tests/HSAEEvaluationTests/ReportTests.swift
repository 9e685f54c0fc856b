// Pages: hostile words stay words, ids are unique, tags are balanced, scripts hold valid JSON.

import Foundation
import HSAEHTML
import HSAERuns
import HSAESupport
import Testing

@testable import HSAEActivations
@testable import HSAEEvaluation
@testable import HSAEModels
@testable import HSAEReport

/// Tokens a page must survive.
private let hostile = [
  "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<\u{0338}b>\u{0301}",
  "a\u{2028}b\u{2029}c", "\u{202E}evil\u{2066}", "\"'&amp;{{{x}}}{{/x}}", "]]>", "<!--",
  "\u{0000}\u{FFFF}",
  "\u{FEFF}", "\u{0301}", "\\u003c\\", "▁", "", "\u{FFFD}", "👩‍👩‍👧", "\n\r\t",
]

private func sampleTree(_ expert: Int, _ words: [String]) -> HierarchyTree {
  func weighted(_ words: [String]) -> [WeightedWord] {
    words.enumerated().map { WeightedWord(text: $1, value: 1 / Float($0 + 1)) }
  }
  var score = HierarchyScore(expert: expert)
  score.score = 0.25
  score.judged = [0, 1]
  return HierarchyTree(
    parent: TreeNode(index: expert, count: 40, words: weighted(words)),
    children: (0..<14).map {
      TreeNode(index: $0, count: 20 - $0, words: weighted(Array(words.reversed())))
    }, score: score)
}

private func sampleRun(_ name: String, flat: Bool = false, words: [String] = hostile) -> RunReport {
  let shape = DictionaryShape(
    width: 8, experts: 16, sublatents: flat ? 0 : 14, subspace: flat ? 0 : 2, activeExperts: 2)
  let quality = ReconstructionQuality(
    squaredError: flat ? 0.8 : 0.7, explainedVariance: 0.3, legacyExplainedVariance: .nan,
    cosine: 0.5, normRatio: 0.5)
  let experts = words.prefix(3).enumerated().map { index, word in
    ActiveExpert(
      expert: index, strength: 0.5, count: 3, words: [WeightedWord(text: word, value: 1)],
      chosen: flat
        ? nil
        : ChosenSublatent(
          sublatent: 1, code: 0.2, isRelevant: index == 0, count: 2,
          words: [WeightedWord(text: word, value: 1)]))
  }
  return RunReport(
    name: name, shape: shape,
    configuration: [
      ConfigurationEntry("l1", flat ? "0" : "</dd><b>"), ConfigurationEntry("k", "2"),
    ],
    metrics: (1...500).map { step in
      var record = MetricsRecord()
      (record.step, record.loss, record.reconstruction) = (step, 1 / Double(step), 1)
      return record
    },
    numbers: EvaluationNumbers(
      reconstruction: ReconstructionSummary(
        vectors: 9, l0: 2, codes: flat ? 2 : 4, full: quality, topLevel: quality),
      deadExperts: 1, neverChosenSublatents: 2, deadSublatents: 3,
      expertHistogram: DensityHistogram(counts: [0, 1, 5], vectors: 10),
      sublatentHistogram: DensityHistogram(counts: [1, 2], vectors: 10)),
    evaluatedOn: "nine rows", clearest: flat ? [] : [sampleTree(3, words), sampleTree(5, words)],
    sample: flat ? [] : [sampleTree(3, words)], sampleSeed: 7, index: [sampleTree(3, words)],
    lookups: words.map {
      WordLookup(
        word: $0, token: 4, text: $0, isKept: true, isEncoded: true, subThreshold: 0.1,
        experts: experts)
    } + [WordLookup(word: "<none>", isKept: false, isEncoded: false, suggestions: words)])
}

/// A strict reader of the pages' HTML. It reports every fault that a browser would repair.
private struct PageReader {
  var ids: [String] = []
  var problems: [String] = []
  var json: [String] = []
  var scripts = 0
  var elements: Set<String> = []

  init(_ html: String) {
    let void: Set = ["meta", "link", "input", "path", "rect"]
    var open: [String] = []
    var rest = Substring(html)
    while let start = rest.firstIndex(of: "<") {
      let text = rest[..<start]
      if text.contains(">") { problems.append("a bare > in: \(text.suffix(40))") }
      rest = rest[rest.index(after: start)...]
      guard let end = rest.firstIndex(of: ">") else {
        problems.append("an unfinished tag")
        return
      }
      let tag = rest[..<end]
      rest = rest[rest.index(after: end)...]
      if tag.hasPrefix("!") {
        if tag != "!doctype html" { problems.append("a declaration \(tag)") }
        continue
      }
      if tag.hasPrefix("/") {
        if open.popLast() != String(tag.dropFirst()) { problems.append("unbalanced <\(tag)>") }
        continue
      }
      let name = String(tag.prefix { $0.isLetter || $0.isNumber })
      if name.isEmpty { problems.append("no element: <\(tag.prefix(30))>") }
      elements.insert(name)
      for match in tag.matches(of: /\s([a-z-]+)="([^"]*)"/) {
        if match.1 == "id" { ids.append(String(match.2)) }
        if match.1.hasPrefix("on") { problems.append("an event attribute \(match.1)") }
        if (match.1 == "src" || match.1 == "href") && !match.2.hasPrefix("#") && match.2 != "data:,"
        {
          problems.append("an outside address \(match.2)")
        }
      }
      if name == "script" || name == "style" {
        guard let close = rest.range(of: "</\(name)>") else {
          problems.append("an endless \(name)")
          return
        }
        if tag.contains("application/json") { json.append(String(rest[..<close.lowerBound])) }
        if name == "script" { scripts += 1 }
        rest = rest[close.upperBound...]
      } else if !tag.hasSuffix("/") && !void.contains(name) {
        open.append(name)
      }
    }
    if !open.isEmpty { problems.append("never closed: \(open)") }
  }
}

@Suite struct ReportTests {
  @Test func hostileWordsStayWords() throws {
    let page = try makeReport(
      ReportInput(
        title: "<b>T & T</b>", subtitle: "</title>",
        runs: [sampleRun("<i>h</i>"), sampleRun("flat", flat: true)],
        command: "hsae report '</code>'"))
    let reader = PageReader(page)
    #expect(reader.problems == [])
    #expect(Set(reader.ids).count == reader.ids.count)
    #expect(reader.ids.contains("e3") && reader.ids.contains("r3") && reader.ids.contains("index"))
    #expect(reader.scripts == 2)
    #expect(!reader.elements.contains("img") && !reader.elements.contains("iframe"))
    for scalar in page.unicodeScalars {
      switch scalar.value {
      case 0x0A: break
      case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF, 0xFFFF:
        Issue.record("U+\(String(scalar.value, radix: 16)) is on the page")
      default: break
      }
    }
    #expect(page.contains("T &amp; T") && page.contains("&lt;none&gt;"))
  }

  /// The cards show held-out rows if the evaluation has them for both runs, else the page's own rows.
  @Test func theCardsSayWhichRowsTheyAreOf() throws {
    let runs = [sampleRun("h"), sampleRun("flat", flat: true)]
    func cards(_ evaluation: Evaluation?) throws -> String {
      let page = try makeReport(
        ReportInput(title: "t", subtitle: "", runs: runs, evaluation: evaluation))
      let list = try #require(page.firstRange(of: "<dl class=\"figures\">"))
      let end = try #require(page[list.upperBound...].firstRange(of: "</dl>"))
      return String(page[list.upperBound..<end.lowerBound])
    }
    #expect(try cards(nil).contains("on training rows"))
    var evaluation = try JSONFile.decode(
      Evaluation.self, from: Array(#"{"format": 1, "seed": 0, "runs": []}"#.utf8), source: "test")
    for (run, error) in zip(runs, [0.25, 0.5]) {
      var result = SuiteResult(
        suite: "core", evaluatedOn: "7 held-out rows of a store; losses on others",
        numbers: [
          EvaluationNumber("mse", "", error),
          EvaluationNumber("explained_variance", "", 0.67),
          EvaluationNumber("explained_variance_top_level", "", 0.41),
        ])
      result.isHeldOut = true
      evaluation.runs.append(
        Evaluation.Run(
          name: run.name, shape: run.shape, step: 1, trainedRows: 1, results: [result]))
    }
    let heldOut = try cards(evaluation)
    #expect(
      heldOut.contains(
        "50 % less than the flat SAE’s 0.500, with 4.0 codes a row for its 2.0, on held-out rows"))
    // The sizes stand beside the comparison: 16 · (2 · 3 · 8 + 2 · 14 · 2) numbers, and 16 · 2 · 8.
    #expect(heldOut.contains("2 active for each row; 1.7 k parameters, those of the flat SAE 256<"))
    #expect(heldOut.contains("of 16; 221 of 224 sublatents live; on training rows"))
    #expect(
      heldOut.contains("67 %") && heldOut.contains("41 % by the top level alone, on held-out"))
    let table = summaryTable(runs, evaluation)
    #expect(table.contains("held out") && table.contains("0.6700"))
    #expect(
      table.hasSuffix(
        "measured on nine rows; held out: explained variance on 7 held-out rows of a store\n"))
    // Rows that training has seen do not count as held out, even if they are in an evaluation file.
    for index in evaluation.runs.indices { evaluation.runs[index].results[0].isHeldOut = false }
    #expect(try cards(evaluation) == cards(nil))
    #expect(summaryTable(runs, evaluation) == summaryTable(runs))
  }

  /// For an imported run, it is not known whether it was trained on the rows. Its error at the rows' own lengths
  /// is not shown as a share, and the number of active latents is the one that was measured.
  @Test func anImportedRunsCards() throws {
    func page(_ change: (inout RunReport) -> Void) throws -> String {
      var run = sampleRun("theirs", flat: true)
      change(&run)
      return try makeReport(ReportInput(title: "t", subtitle: "", runs: [run]))
    }
    let own = try page { _ in }
    #expect(own.contains("of each row’s squared norm, on training rows"))
    #expect(own.contains("2 active for each row") && !own.contains("Better values"))
    let theirs = try page {
      ($0.isTrainingData, $0.seesUnitRows) = (nil, false)
      $0.shape.activeExperts = 16
      $0.numbers?.reconstruction.full.squaredError = 541_643_228.491
    }
    #expect(theirs.contains("<dd>541,643,228</dd>") && theirs.contains("<td>541,643,228</td>"))
    #expect(theirs.contains("of rows at their own lengths, on rows it may have been trained on"))
    #expect(!theirs.contains("squared norm") && !theirs.contains("was not trained on"))
    #expect(theirs.contains("2.0 active for a row on average; 256 parameters<"))
    let other = try page {
      $0.isTrainingData = false
      $0.shape.activeExperts = 9
    }
    #expect(other.contains("on rows it was not trained on"))
    #expect(other.contains("2.0 active for a row on average, 9 at most"))
    // An error at unit norm and one at the rows' own lengths are not compared.
    var flat = sampleRun("flat", flat: true)
    for isAlike in [true, false] {
      flat.seesUnitRows = isAlike
      let both = try makeReport(
        ReportInput(title: "t", subtitle: "", runs: [sampleRun("h"), flat]))
      #expect(
        both.contains("less than the flat SAE’s 0.800, with 4.0 codes a row for its 2.0") == isAlike
          && both.contains("Better values"))
      #expect(both.contains("<td class=\"best\">0.7000</td>") == isAlike)
    }
  }

  /// A page counts words, tokens or rows for a latent, depending on what the rows stand for.
  @Test func rowsAreCalledWhatTheyAre() throws {
    for (kind, unit) in [(RowKind.word, "words"), (.token, "tokens"), (.row, "rows")] {
      var run = sampleRun("h", words: ["a"])
      run.rowKind = kind
      let page = try makeReport(ReportInput(title: "t", subtitle: "", runs: [run]))
      #expect(page.contains("<span>40 \(unit)</span>") && page.contains(": 20 \(unit)\""))
      #expect(page.contains("the \(unit) it responds to most"))
      #expect(page.contains("data-unit=\"\(kind.rawValue)\""))
      #expect(page.contains("2 sublatents with fewer \(unit) not"))
      run.clearest[0].children.removeLast()
      let fewer = try makeReport(ReportInput(title: "t", subtitle: "", runs: [run]))
      #expect(fewer.contains("1 sublatent with fewer \(unit) not"))
      #expect(fewer.contains("Sublatents chosen, h") && fewer.contains("Counted on nine rows."))
    }
  }

  @Test func theIndexIsJSONAndFindsItsWords() throws {
    let page = try makeReport(
      ReportInput(title: "t", subtitle: "", runs: [sampleRun("h")]))
    let json = try #require(PageReader(page).json.first)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    let words = try #require(object["w"] as? [String])
    #expect(words.contains("</script><script>alert(1)</script>"))
    #expect(Set(words).count == words.count)
    let experts = try #require(object["e"] as? [[Any]])
    #expect(experts.count == 1 && (experts[0][4] as? [[Int]])?.count == 14)
  }

  @Test func theIndexKeepsToItsSize() {
    let trees = (0..<50).map { sampleTree($0, (0..<9).map { "▁word\($0)" }) }
    let full = searchIndex(trees, limit: .max).html.utf8.count
    #expect(searchIndex(trees, limit: full / 2).html.utf8.count <= full / 2)
    #expect(searchIndex(trees, limit: 0).html.contains("\"e\":[[0,40,250,["))
  }

  @Test func comparison() throws {
    var other = sampleRun("other")
    other.configuration[0].value = "0.1"
    let page = try makeReport(
      ReportInput(
        title: "Ablations", subtitle: "", runs: [sampleRun("a"), other, sampleRun("f", flat: true)])
    )
    let reader = PageReader(page)
    #expect(reader.problems == [])
    #expect(Set(reader.ids).count == reader.ids.count)
    #expect(page.contains("What differs between the runs") && page.contains("<code>l1</code>"))
    #expect(!page.contains("<code>k</code>"))
    #expect(page.contains("different numbers of codes on a row (4.0, 2.0)"))
    let alike = try makeReport(
      ReportInput(title: "t", subtitle: "", runs: [sampleRun("a"), other, sampleRun("b")]))
    #expect(!alike.contains("different numbers of codes"))
  }

  @Test func runsWithoutMeasurementsMakePages() throws {
    let shape = DictionaryShape(
      width: 4, experts: 2, sublatents: 0, subspace: 0, activeExperts: 1)
    for runs in [1, 2, 3] {
      let page = try makeReport(
        ReportInput(
          title: "", subtitle: "",
          runs: (0..<runs).map { RunReport(name: "run \($0)", shape: shape) }))
      #expect(PageReader(page).problems == [])
    }
    #expect(throws: (any Error).self) {
      try makeReport(ReportInput(title: "", subtitle: "", runs: []))
    }
  }

  @Test func aTreeAsHTML() {
    var score = HierarchyScore(expert: 7)
    score.judged = [2]
    let tree = HierarchyTree(
      parent: TreeNode(
        index: 7, count: 4,
        words: [WeightedWord(text: "▁dog", value: 1), WeightedWord(text: "ging", value: 0.5)]),
      children: [TreeNode(index: 2, count: 1, words: [WeightedWord(text: "▁<pug>", value: 1)])],
      score: score)
    let list = TreeList(idPrefix: "e").markup([tree])
    #expect(
      list.html == """
        <div class="trees">
        <details class="tree" id="e7">
        <summary><span class="rank">1</span><span class="head"><bdi>dog</bdi>, <bdi>·ging</bdi></span>\
        <span class="strip" aria-hidden="true"><i style="width:25.0%"></i></span><span class="meta">\
        <span>4 words</span><span>1 judged sublatent</span></span><span class="score">\
        <span class="hush">score </span>0.000</span></summary>
        <p class="words"><bdi>dog</bdi> <bdi class="b">·ging</bdi></p>
        <ul class="subs">
        <li><span class="share" title="sublatent 2: 1 word"><b>25 %</b>\
        <i style="width:72px"></i></span><span class="words"><bdi>&lt;pug&gt;</bdi></span></li>
        </ul>
        <p class="note">expert 7</p>
        </details>
        </div>
        """)
  }
}

@Suite struct ReportPartsTests {
  @Test func activationsAreEscapedAndShown() throws {
    var attributes = StoreAttributes(
      kind: .residualStream, modelName: "<b>", modelSHA256: "", hookPoint: "output of block 3")
    attributes.width = 4
    var summary = StoreSummary(
      attributes: attributes, rows: 1000, flagged: 2, sampled: 1000,
      norms: StoreSummary.Norms([1, 20, 300]))
    summary.heldOut = 50
    summary.documents = 9
    summary.languages = [.init(name: "</td>", count: 3, total: 9)]
    summary.tokens = hostile.map { .init(name: $0, count: 1, total: 10) }
    summary.contexts = hostile.map {
      .init(title: $0, language: "", before: $0, token: $0, after: $0)
    }
    let alone = try makeReport(
      ReportInput(title: "t", subtitle: "s", runs: [], store: summary))
    #expect(alone.contains("id=\"activations\"") && alone.contains("50 rows held out"))
    #expect(!alone.contains("<b>;") && !alone.contains("alert(1)</script>"))
    #expect(alone.contains("&lt;/td&gt;"))
    let withRun = try makeReport(
      ReportInput(title: "t", subtitle: "s", runs: [sampleRun("a")], store: summary))
    #expect(withRun.contains("href=\"#activations\"") && withRun.contains("id=\"numbers\""))
  }

  @Test func densities() {
    let none = DensityHistogram(counts: [], vectors: 0)
    #expect(densityChart("t", none, color: 0) == nil)
    let chart = densityChart("t", DensityHistogram(counts: [0, 3, 10], vectors: 10), color: 0)
    #expect(chart?.html.contains("never <b>1</b>") == true)
  }
}
