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
      if runs.count == 1 { return .redirect(to: Address.run(runs[0])) }
      return .html(startPage(runs))
    case ("GET", 2, "runs"):
      return try .html(overview(of: run(path[1])))
    case ("GET", 3, "runs") where path[2] == "latents":
      let run = try run(path[1])
      guard let number = request.value("go") else { return try .html(list(request, of: run)) }
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
      try database.setLabel(
        form["label"]?.first ?? "", replacing: form["previous"]?.first, of: latent, in: run)
      return .redirect(to: Address.latents(run) + "/" + Address.encoded(path[3]))
    case ("GET", 1, "text"):
      return try await .html(textPage(request))
    case ("GET", 1, "compare"):
      return try .html(comparePage(request))
    default:
      return nil
    }
  }

  /// The page of all runs, if there are several.
  func startPage(_ runs: [RunRecord]) -> Markup {
    let items = runs.map { run -> Markup in
      """
      <li class="card"><h2><a href="\(Address.run(run))">\(run.name)</a></h2>
      <p>\(runDescription(run))</p></li>
      """
    }.joined()
    return layout(
      "Runs",
      """
      <h1>What these dictionaries found</h1>
      <ul class="cards">\(items)</ul>
      \(when(runs.count > 1, "<p><a href=\"/compare\">Compare two of them</a></p>"))
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
