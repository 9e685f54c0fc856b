// Finds the page for an address; the page of all runs.

#if Explorer
import HSAEHTML
import HSAEModels
import HSAESupport

extension Explorer {
  /// The page at `request`; nil if there is none.
  func page(_ request: WebRequest) async throws(Failure) -> WebResponse? {
    let path = request.path
    switch (request.method, path.count, path.first) {
    case ("GET", 0, _):
      let runs = try database.runs()
      if runs.count == 1 {
        let search = request.value("q").map {
          Address.latents(runs[0]) + "?q=" + Address.encoded($0)
        }
        return .redirect(to: search ?? Address.run(runs[0]))
      }
      return try .html(startPage(request, runs))
    case ("GET", 2, "runs"):
      return try .html(overview(of: run(path[1])))
    case ("GET", 3, "runs") where path[2] == "latents":
      let run = try run(path[1])
      // A search for "998.4" leads to that latent.
      let asked = request.value("q").flatMap { text in
        text.contains { "./".contains($0) } && request.value("fragment") == nil
          && LatentNumber(text, in: run.shape) != nil ? text : nil
      }
      guard let number = request.value("go") ?? asked else {
        return try .html(list(request, of: run))
      }
      return .redirect(to: Address.latents(run) + "/" + (try latent(number, in: run).name))
    case ("GET", 3, "runs") where path[2] == "steer":
      return try await .html(steerPage(request, of: run(path[1])))
    case ("GET", 4, "runs") where path[2] == "latents" && path[3] == "random":
      let run = try run(path[1])
      guard let latent = try database.randomLatent(of: run) else { return nil }
      return .redirect(to: Address.latent(latent, run))
    case ("GET", 4, "runs") where path[2] == "latents":
      let run = try run(path[1])
      let latent = try latent(path[3], in: run)
      let isWhole = request.value("more") == "1"
      let detail = try database.detail(
        of: latent, in: run, contexts: isWhole ? .max : Self.contextsAtOnce, samples: isWhole)
      guard let detail else { return nil }
      if isWhole, request.value("fragment") == "1" { return .html(furtherContexts(detail)) }
      let ownText = try await ownText(request, detail, of: run)
      return try .html(latentPage(detail, of: run, isWhole: isWhole, ownText: ownText))
    case ("POST", 5, "runs") where path[2] == "latents" && path[4] == "label":
      let run = try run(path[1])
      let latent = try latent(path[3], in: run)
      let form = WebRequest.form(String(decoding: request.body, as: UTF8.self))
      let label = form["remove"] == nil ? form["label"]?.first ?? "" : ""
      try database.setLabel(
        label, replacing: form["previous"]?.first, of: latent, in: run)
      return .redirect(to: Address.latents(run) + "/" + Address.encoded(path[3]))
    case ("POST", 5, "runs") where path[2] == "latents" && path[4] == "lists":
      let run = try run(path[1])
      let latent = try latent(path[3], in: run)
      let form = WebRequest.form(String(decoding: request.body, as: UTF8.self))
      let removed = form["remove"]?.first
      try database.setListed(
        removed == nil, in: removed ?? form["list"]?.first ?? "", latent, of: run)
      return .redirect(to: Address.latents(run) + "/" + Address.encoded(path[3]))
    case ("GET", 1, "text"):
      return try await .html(textPage(request))
    case ("GET", 1, "compare"):
      return try .html(comparePage(request))
    default:
      return nil
    }
  }

  /// The page of all runs, if there are several, with a search in all of them and a box for a text.
  func startPage(_ request: WebRequest, _ runs: [RunRecord]) throws(Failure) -> Markup {
    let items = try runs.map { (run) throws(Failure) -> Markup in
      var links: [Markup] = []
      if !isStatic {
        links = ["<a href=\"\(Address.latents(run))\">Latents</a>"]
        if canSteer(run) { links.append("<a href=\"\(Address.steer(run))\">Steer</a>") }
        try links += ownLinks(run)
      }
      return """
        <li class="card"><h2><a href="\(Address.run(run))">\(run.name)</a></h2>
        <p>\(runDescription(run))</p>\(when(!links.isEmpty, "<p>\(links.joined(" · "))</p>"))</li>
        """
    }.joined()
    let asked = request.value("q")
    let search: Markup = """
      <form class="filters" action="/" role="search"><label class="wide">Find in all runs
      <input type="search" name="q" value="\(asked ?? "")" placeholder="word, context, label or number"
      maxlength="\(SearchQuery.longest)" autocomplete="off" spellcheck="false" required></label><button>Find</button></form>
      """
    let canRead = dissector != nil && runs.contains { $0.isComplete && canSteer($0) }
    let text: Markup = """
      <section><h2>\(Self.textTitle)</h2><form class="typing" action="/text">
      <label class="hush" for="text">Text</label><textarea id="text" name="text" rows="2"
      maxlength="\(Self.longestText)" required placeholder="\(Self.textExamples[0])"></textarea>
      <div><button>Show latents</button></div></form></section>
      """
    var found: Markup = ""
    if let asked {
      for run in runs {
        let query = LatentQuery(
          level: .both, order: .match, isDescending: true, text: try SearchQuery.checked(asked),
          limit: 8)
        found += try "<section><h2>\(run.name)</h2>\(results(query, request, of: run))</section>"
      }
    }
    return layout(
      "Runs",
      """
      <h1>What these dictionaries found</h1>
      \(when(!isStatic, search))\(found)
      <ul class="cards">\(items)</ul>
      \(when(runs.count > 1, "<p><a href=\"/compare\">Compare two of them</a></p>"))
      \(when(!isStatic && canRead, text))
      """)
  }

  /// A sentence about a run.
  func runDescription(_ run: RunRecord) -> Markup {
    let shape = run.shape
    let latents: Markup =
      shape.isFlat
      ? "\(counted(shape.experts, "latent"))"
      : "\(counted(shape.experts, "expert")) with \(counted(shape.sublatents, "sublatent")) each"
    let active =
      shape.activeExperts < shape.experts ? grouped(shape.activeExperts) : "any number"
    let place = [run.modelName, run.hookPoint].compactMap(\.self).joined(separator: ", ")
    let incomplete = when(
      !run.isComplete, " <strong>Incomplete: run hsae explain again to complete it.</strong>")
    return """
      \(latents), \(active) active at a time; \(counted(run.rows, "row")) of \
      \(place.isEmpty ? run.storeName : place).\(incomplete)
      """
  }
}
#endif
