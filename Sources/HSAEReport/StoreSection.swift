// The section of a page about the activations themselves: where they come from, their norms, their
// most frequent tokens, and some of them in context.

import Foundation
import HSAEActivations
import HSAEEvaluation
import HSAEHTML
import HSAESupport

let storeTemplate = """
  <section id="activations" aria-labelledby="activations-title">
  <h2 id="activations-title">Activations</h2>
  <p class="lead">{{{lead}}}</p>
  <div class="charts">{{{norms}}}{{{languages}}}</div>
  {{#hasTokens}}<h3>Most frequent tokens</h3>
  <p class="words">{{{tokens}}}</p>{{/hasTokens}}
  {{#hasContexts}}<h3>In context</h3>
  <p class="small">Rows drawn at random; the marked token is the row’s.</p>
  <ul class="contexts">
  {{#contexts}}<li><span class="words"><bdi>…{{{before}}}<mark>{{{token}}}</mark>{{{after}}}…</bdi></span>\
  {{#hasSource}}<span class="small">{{{source}}}</span>{{/hasSource}}</li>
  {{/contexts}}</ul>{{/hasContexts}}
  </section>
  """

/// What the section shows of `store`.
func storeView(_ store: StoreSummary) -> [String: View] {
  let attributes = store.attributes
  var parts = [
    "\(counted(store.rows, "row")) of width \(attributes.width)",
    "\(attributes.hookPoint) of \(attributes.modelName)",
  ]
  if let weights = attributes.weightsType { parts.append("weights \(weights)") }
  if let length = attributes.contextLength { parts.append("contexts of \(length) tokens") }
  if let documents = store.documents { parts.append("\(counted(documents, "document"))") }
  if let heldOut = store.heldOut { parts.append("\(counted(heldOut, "row")) held out") }
  if store.flagged > 0 {
    let multiple = attributes.collection?.giantNormMultiple ?? 0
    parts.append(
      "\(counted(store.flagged, "row")) flagged and left out (norm beyond"
        + " \(grouped(multiple, digits: 3)) × the median, or not finite)")
  }
  return [
    "lead": "\(parts.joined(separator: "; ")).",
    "norms": .markup(normChart(store.norms, rows: store.sampled)),
    "languages": .markup(languageChart(store.languages)),
    "hasTokens": .flag(!store.tokens.isEmpty),
    "tokens": .markup(
      store.tokens.map { token -> Markup in
        let share = percent(Double(token.count) / Double(max(1, token.total)))
        return "<bdi title=\"\(share)\">\(displayText(token.name))</bdi>"
      }.joined(" ")),
    "hasContexts": .flag(!store.contexts.isEmpty),
    "contexts": .list(
      store.contexts.map { context in
        let source = [context.language, context.title].filter { !$0.isEmpty }
        return [
          "before": "\(context.before)", "token": "\(context.token)", "after": "\(context.after)",
          "hasSource": .flag(!source.isEmpty), "source": "\(source.joined(separator: ", "))",
        ]
      }),
  ]
}

private func normChart(_ norms: StoreSummary.Norms, rows: Int) -> Markup {
  let names = ["least", "1 %", "25 %", "median", "75 %", "99 %", "greatest"]
  let values = norms.quantiles.map { grouped(Double($0), digits: 4) }
  let legend = zip(names, values).map { name, value -> Markup in
    "<li>\(name) <b>\(value)</b></li>"
  }
  let width = 100 / Double(max(1, norms.counts.count))
  let step = max(1, (norms.counts.count + 3) / 4)
  let labels = stride(from: 0, through: norms.counts.count, by: step).map { index in
    let norm = pow(10, norms.lowest + Double(index) * norms.binWidth)
    return (Double(index) * width, Markup(text: grouped(norm, digits: 3)))
  }
  return barChart(
    "Norms of \(counted(rows, "row"))", counts: norms.counts, color: 0, labels: labels,
    legend: legend.joined(), spoken: "median \(values[3]), greatest \(values[6])",
    axis: "norm before scaling to 1, logarithmic")
}

/// Languages of documents as a table; nothing if none is known.
private func languageChart(_ languages: [StoreSummary.Share]) -> Markup {
  guard !languages.isEmpty else { return "" }
  let rows = languages.prefix(12).map { language -> Markup in
    let name = language.name.isEmpty ? "unknown" : language.name
    let share = percent(Double(language.count) / Double(max(1, language.total)))
    return """
      <tr><th scope="row">\(name)</th><td>\(grouped(language.count))</td><td>\(share)</td></tr>
      """
  }
  return """
    <figure class="chart"><figcaption>Languages of documents</figcaption>
    <table class="numbers"><thead><tr><th scope="col"><span class="hush">language</span></th>\
    <th scope="col">documents</th><th scope="col">share</th></tr></thead>
    <tbody>\(rows.joined())</tbody></table></figure>
    """
}
