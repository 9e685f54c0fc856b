// Which latents fire in a text, like the paper's figure 4: tokens are shaded by how much of them a run explains, or by one
// latent, and the chosen token's active latents are listed, with several runs side by side.

#if Explorer
import HSAEHTML
import HSAEModels
import HSAESupport

extension Explorer {
  /// The largest number of runs that read a text at once.
  static let mostRuns = 8
  /// The longest text in UTF-16 units, which browsers count.
  static let longestText = 4000
  /// The heading, and what links to the page are called.
  static let textTitle = "See which latents fire in your text"
  static let textExamples = [
    "The corgi herded the sheep across the field while the poodle watched from the porch.",
    "The Bank of England raised rates.",
    "Die Seine fließt durch Paris, the Rhine through Basel.",
  ]

  func textPage(_ request: WebRequest) async throws(Failure) -> Markup {
    let all = try database.runs()
    let usable = all.filter { $0.isComplete && canSteer($0) }
    guard !usable.isEmpty else {
      let named = all.first { request.value("runs") == $0.name }
      return layout(
        "Text",
        """
        <h1>\(Self.textTitle)</h1>
        <p class="empty">This needs a complete run on a language model’s residual stream, and there is none here.</p>
        """, section: .text, run: named ?? all.first, runs: all)
    }
    var names = request.query["runs"] ?? []
    for name in names where !usable.contains(where: { $0.name == name }) {
      _ = try run(name)
      throw .usage(
        "\(name): only complete runs on a language model’s residual stream can read a text.")
    }
    guard names.count <= Self.mostRuns else {
      throw .usage("Choose \(Self.mostRuns) runs at most.")
    }
    if names.isEmpty { names = usable.prefix(2).map(\.name) }
    let asked = usable.filter { names.contains($0.name) }
    // Only runs on the same layer of the same model can be side by side.
    let chosen = asked.filter {
      $0.layer == asked.first?.layer && $0.modelSHA256 == asked.first?.modelSHA256
        && $0.bos == asked.first?.bos
    }
    var body: Markup = ""
    let text = try Self.text(of: request)
    if let text, !chosen.isEmpty {
      let dissection = try await dissection(of: text, by: chosen)
      let last = max(0, dissection.tokens.count - 1)
      let token = try request.number("at", in: 0...last, or: Self.worstToken(of: dissection))
      let parts = TextParts(
        dissection: dissection, runs: chosen, place: token, text: text,
        rests: try await dissector?.rests(at: token, of: text, by: chosen, database) ?? [],
        alike: try alike(dissection, at: token, chosen),
        order: TextParts.Order(rawValue: request.value("order") ?? "") ?? .experts,
        shading: try shading(request.value("shade"), chosen))
      body = parts.markup
      if request.value("fragment") == "1" { return body }
    }
    let choices = usable.map { run in
      checkbox("runs", "\(run.name)", value: run.name, isOn: chosen.contains(run))
    }.joined(" ")
    let examples = Self.textExamples.map { example -> Markup in
      let runs = chosen.map { "runs=\(Address.encoded($0.name))&" }.joined()
      return """
        <li><a href="/text?\(runs)text=\(Address.encoded(example))">\(example)</a></li>
        """
    }.joined()
    return layout(
      "Text",
      """
      <h1>\(Self.textTitle)</h1>
      <p class="lead">Type or paste a text. Each token is shaded by how much of its row the dictionary explains: the share of its
      squared length that the reconstruction gets right. Choose a token to see the latents that are active there.</p>
      <form class="typing" id="typing" action="/text">
      <label class="hush" for="text">Text</label>
      <textarea id="text" name="text" rows="3" maxlength="\(Self.longestText)" required
      placeholder="\(Self.textExamples[0])">\(text ?? "")</textarea>
      <div>\(choices) <button>Show latents</button></div>
      </form>
      \(when(text == nil, "<h2>Examples</h2><ul class=\"plainlist\">\(examples)</ul>"))
      <p class="hush" role="status" id="said"></p>
      <div id="parts">\(body)</div>
      """, section: .text, run: chosen.first ?? usable.first, runs: all)
  }

  /// The token that run number `run` explains least; the first token does not count, unless it is the only one.
  static func worstToken(of dissection: Dissection, run: Int = 0) -> Int {
    let tokens = dissection.runs.indices.contains(run) ? dissection.runs[run].tokens : []
    let places = tokens.indices.dropFirst(tokens.count > 1 ? 1 : 0)
    return places.min { tokens[$0].explained < tokens[$1].explained } ?? 0
  }

  /// The text that `request` gives; nil if there is none.
  static func text(of request: WebRequest) throws(Failure) -> String? {
    guard let text = request.value("text") else { return nil }
    guard text.utf16.count <= longestText else {
      throw .usage("This text is too long; give at most \(grouped(longestText)) characters.")
    }
    return text
  }

  func dissection(of text: String, by runs: [RunRecord]) async throws(Failure) -> Dissection {
    guard let dissector else { throw Dissector.noModel }
    return try await dissector.dissect(text, by: runs, database)
  }

  /// For each of `runs`, its latents at token `place` whose nearest latent of another run is active there too, with a link to
  /// that.
  private func alike(
    _ dissection: Dissection, at place: Int, _ runs: [RunRecord]
  ) throws(Failure) -> [[LatentNumber: Markup]] {
    var names = runs.map { _ in [LatentNumber: Markup]() }
    let active = dissection.runs.map { $0.tokens[place].numbers }
    for (index, run) in runs.enumerated() {
      for (other, theirs) in zip(runs, active) where other.id != run.id {
        let nearest = try database.nearest(of: active[index], run, in: other)
        for (latent, found) in nearest
        where theirs.contains(found.latent) && found.cosine >= Self.leastAlike {
          names[index][latent] = """
            <a href="\(Address.latents(other))/\(found.latent.name)">\(other.name) \(found.latent.name)</a>
            """
        }
      }
    }
    return names
  }

  /// The least cosine of latents of two runs that are called alike.
  static let leastAlike = 0.7

  /// The latent that tokens are shaded by: `name` is a run's name, a slash and the latent's.
  private func shading(
    _ name: String?, _ runs: [RunRecord]
  ) throws(Failure) -> (run: RunRecord, latent: LatentRecord)? {
    guard let name, let slash = name.lastIndex(of: "/"),
      let run = runs.first(where: { $0.name == name[..<slash] })
    else { return nil }
    let latent = try latent(String(name[name.index(after: slash)...]), in: run)
    return try database.record(of: latent, in: run).map { (run, $0) }
  }
}
#endif
