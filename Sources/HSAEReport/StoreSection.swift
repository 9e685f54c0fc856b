// The section of a page about an activation store: where its rows come from, their norms, the most frequent tokens,
// and some tokens in context.

import Foundation
import HSAEActivations
import HSAEEvaluation
import HSAEHTML
import HSAESupport

func storeSection(_ store: StoreSummary) -> Markup {
  let attributes = store.attributes
  var parts = [
    "\(counted(store.rows, "row")) of width \(attributes.width)",
    "\(attributes.hookPoint) of \(attributes.modelName)",
  ]
  if let weights = attributes.weightsType { parts.append("weights \(weights)") }
  if let length = attributes.contextLength {
    parts.append("contexts of \(counted(length, "token"))")
  }
  if let documents = store.documents { parts.append("\(counted(documents, "document"))") }
  if let heldOut = store.heldOut { parts.append("\(counted(heldOut, "row")) held out") }
  if store.flagged > 0 {
    let multiple = attributes.collection?.giantNormMultiple ?? 0
    parts.append(
      "\(counted(store.flagged, "row")) flagged and left out (norm beyond"
        + " \(grouped(multiple, digits: 3)) × the median, or not finite)")
  }
  let tokens = store.tokens.map { token -> Markup in
    let share = percent(Double(token.count) / Double(max(1, token.total)))
    return "<bdi title=\"\(share)\">\(displayText(token.name))</bdi>"
  }
  let contexts = store.contexts.map { context -> Markup in
    let source = [context.language, context.title].filter { !$0.isEmpty }
      .joined(separator: ", ")
    return """
      <li><span class="words"><bdi>…\(context.before)<mark>\(context.token)</mark>\
      \(context.after)…</bdi></span>\
      \(when(!source.isEmpty, "<span class=\"small\">\(source)</span>"))</li>

      """
  }
  let tokenList: Markup =
    "<h3>Most frequent tokens</h3>\n<p class=\"words\">\(tokens.joined(" "))</p>"
  let contextList: Markup = """
    <h3>In context</h3>
    <p class="small">These rows were drawn at random. The marked token is the row’s.</p>
    <ul class="contexts">
    \(contexts.joined())</ul>
    """
  return """
    <p class="lead">\(parts.joined(separator: "; ")).</p>
    <div class="charts">\(normChart(store.norms, rows: store.sampled))\(languageChart(store.languages))</div>
    \(when(!tokens.isEmpty, tokenList))
    \(when(!contexts.isEmpty, contextList))
    """
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

/// The languages of documents as a table; nothing if none is known.
private func languageChart(_ languages: [StoreSummary.Share]) -> Markup {
  guard !languages.isEmpty else { return "" }
  let rows = languages.prefix(12).map { language -> TableRow in
    let share = percent(Double(language.count) / Double(max(1, language.total)))
    return (
      "\(language.name.isEmpty ? "unknown" : language.name)",
      [(grouped(language.count), false), (share, false)]
    )
  }
  return """
    <figure class="chart"><figcaption>Languages of documents</figcaption>
    \(table([hidden("language"), "documents", "share"], rows))</figure>
    """
}
