// The frame of every page, the addresses that pages link to, and small pieces that several pages use.

#if Explorer
import Foundation
import HSAEHTML
import HSAEModels
import HSAESupport

/// The addresses of pages.
enum Address {
  static func run(_ run: RunRecord) -> String { "/runs/\(encoded(run.name))" }
  static func latents(_ run: RunRecord) -> String { self.run(run) + "/latents" }
  static func latent(_ latent: LatentRecord, _ run: RunRecord, text: String? = nil) -> String {
    latents(run) + "/" + latent.number.name + (text.map { "?text=" + encoded($0) } ?? "")
  }
  static func list(_ name: String, _ run: RunRecord) -> String {
    latents(run) + "?list=" + encoded(name)
  }
  static func compare(_ run: RunRecord, _ other: RunRecord) -> String {
    "/compare?run=\(encoded(run.name))&other=\(encoded(other.name))"
  }
  static func steer(_ run: RunRecord) -> String { self.run(run) + "/steer" }
  static func steer(_ run: RunRecord, _ latent: LatentRecord) -> String {
    // At strength 1 most latents change little.
    steer(run) + "?latent=" + latent.number.name + "&strength=2"
  }
  static func text(_ run: RunRecord) -> String { "/text?runs=\(encoded(run.name))" }

  private static let plain = CharacterSet(
    charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")

  /// `text`, percent-encoded as a part of a path or a value of a query.
  static func encoded(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: plain) ?? ""
  }
}

/// A link of the navigation.
enum Section: String {
  case overview = "Overview"
  case latents = "Latents"
  case text = "Text"
  case steer = "Steer"
  case compare = "Compare"
}

extension Explorer {
  /// A whole page about `run`; the reader can change to another of `runs`.
  func layout(
    _ title: String, _ body: Markup, section: Section? = nil, run: RunRecord? = nil,
    runs: [RunRecord] = []
  ) -> Markup {
    func link(_ target: Section, _ address: String) -> Markup {
      let current = when(target == section, " aria-current=\"page\"")
      return "<a href=\"\(address)\"\(current)>\(target.rawValue)</a>"
    }
    var links: Markup = ""
    if let run {
      links = link(.overview, Address.run(run)) + link(.latents, Address.latents(run))
      if !isStatic { links += link(.text, Address.text(run)) }
      if !isStatic, canSteer(run) { links += link(.steer, Address.steer(run)) }
      if runs.count > 1 { links += link(.compare, "/compare?run=\(Address.encoded(run.name))") }
    }
    let others = runs.map { other -> Markup in
      let current = when(other.id == run?.id, " aria-current=\"true\"")
      // The same kind of page.
      let address =
        switch section {
        case .latents: Address.latents(other)
        case .text where canSteer(other) && !isStatic: Address.text(other)
        case .steer where canSteer(other) && !isStatic: Address.steer(other)
        default: Address.run(other)
        }
      return "<a href=\"\(address)\"\(current)>\(other.name)</a>"
    }.joined(" ")
    let chooser: Markup = "<nav class=\"runs\" aria-label=\"Runs\">\(others)</nav>"
    let search = run.map { run -> Markup in
      """
      <form class="find" role="search" action="\(Address.latents(run))">
      <input type="search" name="q" aria-label="Find latents by \(isStatic ? "word or label" : "word, context, label or number")"
      placeholder="\(isStatic ? "word or label" : "word, label or number")" maxlength="\(SearchQuery.longest)" autocomplete="off" spellcheck="false">
      </form>
      """
    }
    return """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(title) · hsae</title>
      <link rel="icon" href="data:,">
      <link rel="stylesheet" href="/assets/explorer.css">
      <script src="/assets/\(isStatic ? "pages.js" : "explorer.js")" defer></script>
      </head>
      <body>
      <a class="skip" href="#main">Skip to content</a>
      <header class="bar">
      <a class="brand" href="/">hsae</a>
      <nav class="sections" aria-label="Sections">\(links)</nav>
      \(search)
      </header>
      <main id="main">
      \(when(runs.count > 1, chooser))
      \(body)
      </main>
      </body>
      </html>
      """
  }

  /// A page with an error message, with the navigation of the run that `request` is about.
  func errorPage(_ error: Failure, _ request: WebRequest) -> Markup {
    let runs = (try? database.runs()) ?? []
    let name = request.path.first == "runs" ? request.path.dropFirst().first : request.value("runs")
    return layout(
      error.status == 404 ? "Not found" : "Sorry",
      """
      <h1>\(error.status == 404 ? "Not found" : "That did not work")</h1>
      <p class="lead" role="alert">\(error.message)</p>
      <p><a href="/">All runs</a></p>
      """, run: runs.first { $0.name == name } ?? runs.first, runs: runs)
  }
}

/// A checkbox of a form.
func checkbox(_ name: Markup, _ text: Markup, value: String = "1", isOn: Bool) -> Markup {
  """
  <label class="check"><input type="checkbox" name="\(name)" value="\(value)"\(when(isOn, " checked"))> \(text)\
  </label>
  """
}

/// A frequency: 4.5 %, or 12 per million.
func density(_ share: Double) -> Markup {
  share >= 0.001 || share == 0 ? "\(percent(share))" : "\(short(share * 1e6)) per million"
}

/// A code with three significant digits, but at most five decimals.
func code(_ value: Float) -> String {
  let value = Double(value)
  guard value.isFinite, value != 0 else { return value == 0 ? "0" : "–" }
  let place = Int(log10(abs(value)).rounded(.down))
  return place < 3 ? decimal(value, min(5, 2 - place)) : grouped(value, digits: 3)
}

/// A chart of bars of equal width. If it is logarithmic, a bar's height goes by log(1 + value). There is a label for each
/// bar, or for each edge of bars; the first, middle and last are shown.
func bars(
  _ values: [Int], labels: [String], title: Markup, isLogarithmic: Bool = false
) -> Markup {
  func scaled(_ value: Int) -> Double { isLogarithmic ? log1p(Double(value)) : Double(value) }
  let greatest = scaled(max(1, values.max() ?? 1))
  // Whole numbers are short: a bar is 100 wide, the tallest is 600 high.
  let columns = values.enumerated().map { index, value -> Markup in
    let height = value == 0 ? 0 : max(15, Int(scaled(value) / greatest * 600))
    return """
      <rect x="\(100 * index + 6)" y="\(600 - height)" width="88" height="\(height)"><title>\
      \(labels.indices.contains(index) ? labels[index] : ""): \(grouped(value))</title></rect>
      """
  }.joined()
  let shown = labels.isEmpty ? [] : [0, labels.count / 2, labels.count - 1]
  return """
    <figure class="bars"><figcaption>\(title)</figcaption>
    <svg viewBox="0 0 \(100 * max(1, values.count)) 600" preserveAspectRatio="none" role="img" aria-label="\(title)">\(columns)</svg>
    <div class="ticks">\(shown.map { "<span>\(labels[$0])</span>" as Markup }.joined())</div></figure>
    """
}
#endif
