// Makes a page: about one run (with a baseline beside it), or about several runs side by side. A page is one HTML
// file that loads nothing from anywhere: no fonts, scripts or images.

import HSAEEvaluation
import HSAEHTML
import HSAEModels
public import HSAESupport

/// The self-contained HTML page of `input`.
///
/// One hierarchical run, alone or with one flat run, gets a page about its hierarchies. Any other set of runs is
/// compared side by side. An evaluation and a store follow; they may also be all there is. The page depends on `input`
/// only. Fails with `.usage` if `input` is empty.
public func makeReport(_ input: ReportInput) throws(Failure) -> String {
  guard !input.runs.isEmpty || input.store != nil || input.evaluation != nil else {
    throw Failure.usage("A report needs at least one run or a store; name its folder.")
  }
  // The hierarchical run comes first, in whichever order they were named.
  let runs = input.runs.sorted { !$0.shape.isFlat && $1.shape.isFlat }
  let isAboutOne =
    runs.count == 1 || runs.count == 2 && !runs[0].shape.isFlat && runs[1].shape.isFlat
  var body =
    isAboutOne
    ? runPage(runs[0], baseline: runs.dropFirst().first, input.evaluation)
    : runs.isEmpty ? PageBody() : comparisonPage(input.runs)
  if let evaluation = input.evaluation { body.add(evaluation, isAlone: runs.isEmpty) }
  if let store = input.store { body.add("activations", "Activations", storeSection(store)) }
  return page(input, body).html
}

/// The content of a page.
struct PageBody {
  var html: Markup = ""
  /// The large numbers under the title.
  var figures: [Markup] = []
  /// What the navigation links to.
  var links: [(anchor: Markup, label: Markup)] = []
  /// The data of the search; empty if there is none.
  var index: Markup = ""

  /// Adds a section with a heading, and a link to it; nothing if `content` is nil.
  mutating func add(_ anchor: Markup, _ title: Markup, _ content: Markup?) {
    guard let content else { return }
    links.append((anchor, title))
    html += """
      <section id="\(anchor)" aria-labelledby="\(anchor)-title">
      <h2 id="\(anchor)-title">\(title)</h2>
      \(content)
      </section>

      """
  }
}

private func page(_ input: ReportInput, _ body: PageBody) -> Markup {
  let figures = "<dl class=\"figures\">\n\(body.figures.joined("\n"))\n</dl>" as Markup
  let links = body.links.map { "<a href=\"#\($0.anchor)\">\($0.label)</a>" as Markup }
  let words: Markup = """
    Words are tokens of the model. Most begin with a space (▁), which is not shown; a piece that
    continues a word is marked ·so. Forms of one word (case, space, English plural) are listed once.

    """
  let index =
    "<script type=\"application/json\" id=\"index\">\(body.index)</script>" as Markup
  return """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="generator" content="hsae report">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
    style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
    <title>\(input.title)</title>
    <link rel="icon" href="data:,">
    <style>
    \(Markup(trusted: style))
    </style>
    </head>
    <body>
    <a class="skip" href="#main">Skip to the content</a>
    <header class="masthead">
    <div class="wrap">
    <p class="kicker">hierarchical sparse autoencoder</p>
    <h1>\(input.title)</h1>
    <p class="subtitle">\(input.subtitle)</p>
    \(when(!body.figures.isEmpty, figures))
    </div>
    </header>
    <nav class="sections" aria-label="Sections"><div class="wrap">
    \(links.joined("\n"))
    </div></nav>
    <main id="main" class="wrap">
    \(body.html)
    </main>
    <footer class="wrap">
    <p>\(when(!input.runs.isEmpty || input.store != nil, words))\
    \(input.command.map { "Made with <code>\($0)</code>." as Markup })</p>
    </footer>
    \(when(!body.index.isEmpty, index))
    <script>
    \(Markup(trusted: script))
    </script>
    </body>
    </html>

    """
}
