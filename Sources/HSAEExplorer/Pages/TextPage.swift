// Takes a text apart, like the paper's figure 4: tokens are shaded by how much of them a run explains, and the chosen
// token's active latents are listed, with several runs side by side.

#if Explorer
import Foundation
import HSAEHTML
import HSAEModels
import HSAESupport

extension Explorer {
  /// The longest text in UTF-16 units, which browsers count.
  private static let longest = 4000
  private static let example =
    "The corgi herded the sheep across the field while the poodle watched from the porch."

  func textPage(_ request: WebRequest) async throws(Failure) -> Markup {
    let all = try database.runs()
    let usable = all.filter { $0.isComplete && $0.kind == .text && $0.layer != nil }
    guard !usable.isEmpty else {
      let named = all.first { request.value("runs") == $0.name }
      return layout(
        "Text",
        """
        <h1>Take a text apart</h1>
        <p class="empty">Only complete runs on a language model’s residual stream can take a text apart, and none is
        here.</p>
        """, section: .text, run: named ?? all.first, runs: all)
    }
    var names = request.query["runs"] ?? []
    for name in names where !usable.contains(where: { $0.name == name }) {
      _ = try run(name)
      throw .usage(
        "\(name): text can be taken apart by complete runs on a language model’s residual stream.")
    }
    if names.isEmpty { names = usable.prefix(2).map(\.name) }
    let asked = usable.filter { names.contains($0.name) }
    // Only runs on the same layer of the same model can be side by side.
    let chosen = asked.filter {
      $0.layer == asked.first?.layer && $0.modelSHA256 == asked.first?.modelSHA256
        && $0.bos == asked.first?.bos
    }
    var body: Markup = ""
    var text = request.value("text")
    if let given = text, !chosen.isEmpty {
      guard given.replacingOccurrences(of: "\r\n", with: "\n").utf16.count <= Self.longest else {
        throw .usage("This text is too long; give at most \(grouped(Self.longest)) characters.")
      }
      guard let dissector else { throw Dissector.noModel }
      let dissection = try await dissector.dissect(given, by: chosen, database)
      let token = try request.number(
        "at", in: 0...max(0, dissection.tokens.count - 1), or: dissection.tokens.count - 1)
      body = parts(dissection, at: token, runs: chosen)
      if request.value("fragment") == "1" { return body }
    }
    text = text ?? Self.example
    let choices = usable.map { run in
      checkbox("runs", "\(run.name)", value: run.name, isOn: chosen.contains(run))
    }.joined(" ")
    return layout(
      "Text",
      """
      <h1>Take a text apart</h1>
      <p class="lead">Type or paste. Each token is shaded by how much of it the dictionary explains; choose
      one to see the latents that are active there.</p>
      <form class="typing" id="typing" action="/text">
      <label class="hush" for="text">Text</label>
      <textarea id="text" name="text" rows="3" maxlength="\(Self.longest)" required>\(text ?? "")</textarea>
      <div>\(choices) <button>Take apart</button></div>
      </form>
      <div id="parts">\(body)</div>
      """, section: .text, run: chosen.first ?? usable.first, runs: all)
  }

  private func parts(
    _ dissection: Dissection, at place: Int, runs: [RunRecord]
  ) -> Markup {
    let columns = zip(runs, dissection.runs).map { run, parts -> Markup in
      let mean = parts.tokens.map(\.explained).reduce(0, +) / Double(max(1, parts.tokens.count))
      return """
        <section class="column" aria-label="\(run.name)"><h2>\(run.name)</h2>
        <p class="small">\(percent(mean)) explained on average</p>
        \(tokens(dissection, parts, at: place))
        \(tree(dissection, parts.tokens[place], at: place, run))</section>
        """
    }.joined()
    let cut: Markup =
      "<p class=\"small\">Only the first \(Dissector.longestText) tokens are taken apart.</p>"
    return when(dissection.isCut, cut) + "<div class=\"columns\">\(columns)</div>"
  }

  /// The tokens to choose from, as radio buttons of the form. A link for each token would repeat the whole text in each
  /// address.
  private func tokens(
    _ dissection: Dissection, _ parts: Dissection.RunParts, at place: Int
  ) -> Markup {
    let texts = runningTexts(dissection.tokens.map(\.text))
    let tokens = dissection.tokens.indices.map { index -> Markup in
      let explained = parts.tokens[index].explained
      let level = min(9, max(1, Int((explained * 10).rounded(.down))))
      return """
        <label class="token s\(level)\(when(index == place, " current"))" title="\(percent(explained)) explained"><input class="hush" type="radio" \
        name="at" value="\(index)" form="typing"\(when(index == place, " checked"))>\(texts[index])</label>
        """
    }.joined()
    return
      "<p class=\"tokens\" role=\"radiogroup\" aria-label=\"Tokens\" dir=\"auto\">\(tokens)</p>"
  }

  private func tree(
    _ dissection: Dissection, _ parts: TokenParts, at place: Int, _ run: RunRecord
  ) -> Markup {
    let greatest = parts.latents.first?.value ?? 1
    let items = parts.latents.map { active -> Markup in
      let width = decimal(Double(active.value / greatest) * 100, 0)
      let isFaint = !active.isSublatentActive
      let sublatent = active.sublatent.map { sublatent -> Markup in
        """
        <div class="chosen\(when(isFaint, " faint"))"><span class="code"\
        \(when(isFaint, " title=\"below the threshold\""))>\
        \(code(active.subValue))</span> \(latentLink(sublatent, run))</div>
        """
      }
      return """
        <li><span class="meter"><i style="width:\(width)%"></i></span>
        <span class="code">\(code(active.value))</span>
        \(latentLink(active.latent, run))\(sublatent)</li>
        """
    }.joined()
    let token = dissection.tokens[place]
    let top: Markup = ", \(percent(parts.explainedByTopLevel)) by the top level alone"
    return """
      <h3>at <q>\(String(runningText(token.text).drop { $0 == " " }))</q></h3>
      <p class="small">\(percent(parts.explained)) explained\(when(!run.shape.isFlat, top))</p>
      <ol class="active">\(items)</ol>
      """
  }
}
#endif
