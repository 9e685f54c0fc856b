// The list of a run's latents: filter, sort, and search as you type. With `fragment=1` the answer is only the part below
// the form, which the script puts in place.

#if Explorer
import Foundation
import HSAEHTML
import HSAEModels
import HSAESupport

extension Explorer {
  /// Latents on a page that is a file.
  static let staticPage = 200

  func list(_ request: WebRequest, of run: RunRecord) throws(Failure) -> Markup {
    var query = try LatentQuery(request, limit: isStatic ? Self.staticPage : 50)
    if run.shape.isFlat, query.order == .score { query.order = .density }
    let found = try results(query, request, of: run)
    if request.value("fragment") == "1" { return found }
    if isStatic { return try staticList(found, of: run) }
    func option(_ value: String, _ text: Markup, _ chosen: String) -> Markup {
      "<option value=\"\(value)\"\(when(value == chosen, " selected"))>\(text)</option>"
    }
    let sort = request.value("sort") ?? ""
    // The order that "best first" stands for comes next.
    let sortable = LatentColumn.sortable.filter { !(run.shape.isFlat && $0.isHierarchical) }
    let best = sortable.filter { $0.name == LatentQuery.Order.score.name }
    let others = sortable.filter { $0.name != LatentQuery.Order.score.name }
    let orders: Markup =
      option("", "best first", sort)
      + (best + others).map { option($0.name, $0.sortTitle, sort) }.joined()
      + option("number", "number", sort)
    let level = request.value("level") ?? ""
    let levels: Markup = """
      <label title="Automatic: experts; in searches and in lists of yours both.">Level
      <select name="level">\(option("", "automatic", level))\(option("top", "experts", level))\
      \(option("sub", "sublatents", level))\(option("both", "both", level))</select></label>
      """
    return try layout(
      "Latents of \(run.name)",
      """
      <h1>Latents</h1>
      <form class="filters" id="filters" action="\(Address.latents(run))" role="search">
      <label class="wide">Find <input type="search" name="q" value="\(request.value("q") ?? "")"
      placeholder="word, context, label or number" maxlength="\(SearchQuery.longest)" autocomplete="off" spellcheck="false"
      autofocus></label>
      \(when(!run.shape.isFlat, levels))
      <label>Sort by <select name="sort">\(orders)</select></label>
      \(try listChoice(query, run))
      \(checkbox("labelled", "labelled", isOn: query.isLabelled))
      \(checkbox("dead", "include dead latents", isOn: query.includesDead))
      <button>Show</button>
      </form>
      <p class="hush" role="status" id="said"></p>
      <div id="results">\(found)</div>
      """, section: .latents, run: run, runs: database.runs())
  }

  /// A choice of the user's lists; empty if there are none.
  private func listChoice(_ query: LatentQuery, _ run: RunRecord) throws(Failure) -> Markup {
    let lists = try database.lists(in: run)
    guard !lists.isEmpty || query.list != nil else { return "" }
    let names =
      lists.map(\.name) + (query.list.map { lists.map(\.name).contains($0) ? [] : [$0] } ?? [])
    let options = names.map { name -> Markup in
      "<option value=\"\(name)\"\(when(name == query.list, " selected"))>\(name)</option>"
    }.joined()
    return
      "<label>List <select name=\"list\"><option value=\"\">all</option>\(options)</select></label>"
  }

  /// The list as a file: the script finds words in an index of files.
  private func staticList(_ found: Markup, of run: RunRecord) throws(Failure) -> Markup {
    try layout(
      "Latents of \(run.name)",
      """
      <h1>Latents</h1>
      <form class="filters" id="search" action="\(Address.latents(run))" role="search">
      <label class="wide">Find <input type="search" name="q" placeholder="a word or a label"
      autocomplete="off" spellcheck="false"></label></form>
      <noscript><p class="small">Finding words needs JavaScript.</p></noscript>
      <div id="found" aria-live="polite"></div>
      <div id="results">\(found)</div>
      """, section: .latents, run: run, runs: database.runs())
  }

  /// The latents that `query` asks for, as a table with links to further ones.
  func results(
    _ query: LatentQuery, _ request: WebRequest, of run: RunRecord
  ) throws(Failure) -> Markup {
    let page = try database.latents(query, in: run)
    let asked = query.text.map { AskedWords(soughtWords($0)) }
    let effects = try asked.map { (asked) throws(Failure) in
      try promoted(asked, page.latents, run)
    }
    let hits = try query.text.map { (text) throws(Failure) in
      try database.contexts(of: page.latents, at: text, in: run)
    }
    let rows = page.latents.indices.map {
      row(
        page.latents[$0], run, asked, promoted: effects?[$0] ?? [],
        hit: hits?[page.latents[$0].number], sortedBy: query.order)
    }.joined()
    let first = query.offset + 1
    let last = query.offset + page.latents.count
    let range: Markup =
      page.total == 0
      ? "Nothing found."
      : "\(grouped(first))–\(grouped(last)) of \(grouped(page.total))"
    let headings = LatentColumn.shown(for: run).map { column -> Markup in
      let order: Markup = query.isDescending ? "descending" : "ascending"
      let sorted: Markup = " class=\"sorted\" aria-sort=\"\(order)\""
      let isSorted = column.name == query.order.name
      let heading: Markup =
        isStatic
        ? column.heading
        : """
        <a href="\(address(request, run, ["sort": column.name, "desc": isSorted && query.isDescending ? "0" : "1", "offset": nil]))">\
        \(column.heading)</a>
        """
      return "<th scope=\"col\"\(when(isSorted, sorted))>\(heading)</th>"
    }.joined()
    let table: Markup = """
      <div class="scroll"><table class="latents"><thead><tr><th scope="col">latent</th>
      \(headings)</tr></thead>
      <tbody>\(rows)</tbody></table></div>
      """
    let lists = try query.text.map { (text) throws(Failure) in
      try database.lists(in: run).filter { $0.name.lowercased().hasPrefix(text.lowercased()) }
    }
    let found = lists?.map { list -> Markup in
      """
      <p>Your list <a href="\(Address.list(list.name, run))">\(list.name)</a> has \
      \(counted(list.count, "latent")).</p>
      """
    }.joined()
    return """
      \(found)<p class="count">\(range)</p>
      \(when(!rows.isEmpty, table))
      \(pager(query, request, total: page.total, run))
      """
  }

  /// The asked words that each of `latents` promotes; empty if its words or its label already contain one.
  private func promoted(
    _ asked: AskedWords, _ latents: [LatentRecord], _ run: RunRecord
  ) throws(Failure) -> [[String]] {
    let isShown = latents.map { asked.isShown(by: $0) }
    let others = zip(latents, isShown).filter { !$1 }.map(\.0)
    var found = try database.promoted(by: others, in: run).map { texts in
      texts.map { wordsPromoted($0, asked) } ?? []
    }[...]
    return isShown.map { $0 ? [] : found.popFirst() ?? [] }
  }

  /// The asked words among the promoted tokens. A word with and without a space in front counts once.
  private func wordsPromoted(_ texts: PromotedTexts, _ asked: AskedWords) -> [String] {
    texts.promoted.map(\.text).filter(asked.isIn).reduce(into: []) { words, text in
      let word = text.replacingOccurrences(of: "▁", with: "")
      if !words.contains(word) { words.append(word) }
    }
  }

  /// A latent of the list, with what matches a search marked: words and label, else promoted tokens; and a context.
  private func row(
    _ latent: LatentRecord, _ run: RunRecord, _ asked: AskedWords?, promoted: [String],
    hit: ContextHit?, sortedBy order: LatentQuery.Order
  ) -> Markup {
    let words = promoted.prefix(3).map { "<bdi><mark>\($0)</mark></bdi>" as Markup }.joined(" ")
    let promotes: Markup = " <span class=\"small\">promotes \(words)</span>"
    let cells = LatentColumn.shown(for: run).map { column -> Markup in
      let (text, help) = column.cell(latent)
      let sorted = when(column.name == order.name, " class=\"sorted\"")
      let title = when(!help.isEmpty, " title=\"\(help)\"")
      return "<td\(sorted)\(title) data-name=\"\(column.heading)\">\(text)</td>"
    }.joined()
    let context = hit.map { hit -> Markup in
      """
      <span class="small">\(counted(hit.hits, "strongest context")) there, such as</span>
      <ol class="contexts">\(contextMarkup(hit.context, maximum: latent.maximum))</ol>
      """
    }
    return """
      <tr><th scope="row">\(latentLink(latent, run, limit: 9, asked: asked))\(when(!promoted.isEmpty, promotes))\
      \(context)</th>
      \(cells)</tr>
      """
  }

  /// The address of the list that `request` asks for, with other fields.
  private func address(
    _ request: WebRequest, _ run: RunRecord, _ changed: [String: String?]
  ) -> String {
    var fields = request.query
    for (name, value) in changed { fields[name] = value.map { [$0] } }
    fields["fragment"] = nil
    let parts = fields.sorted { $0.key < $1.key }.flatMap { name, values in
      values.map { "\(Address.encoded(name))=\(Address.encoded($0))" }
    }
    return "\(Address.latents(run))?\(parts.joined(separator: "&"))"
  }

  private func pager(
    _ query: LatentQuery, _ request: WebRequest, total: Int, _ run: RunRecord
  ) -> Markup {
    func link(_ offset: Int, _ text: Markup, _ relation: Markup) -> Markup {
      "<a rel=\"\(relation)\" href=\"\(address(request, run, ["offset": "\(offset)"]))\">\(text)</a>"
    }
    var links: Markup = ""
    if query.offset > 0 { links = link(max(0, query.offset - query.limit), "← earlier", "prev") }
    if query.offset + query.limit < total {
      links += link(query.offset + query.limit, "further →", "next")
    }
    return links.isEmpty ? "" : "<nav class=\"pager\" aria-label=\"Pages\">\(links)</nav>"
  }
}
#endif
