// Makes pages: one about a run (with a baseline beside it), or one that compares several.

import HSAEEvaluation
import HSAEHTML
import HSAEModels
public import HSAESupport

/// The self-contained HTML page of `input`.
///
/// One hierarchical run, alone or with one flat one, gets a page about its hierarchies; any other set
/// of runs is compared side by side. Activations come last, or alone. The page depends on nothing but
/// `input`.
public func makeReport(_ input: ReportInput) throws(Failure) -> String {
  guard !input.runs.isEmpty || input.store != nil || input.evaluation != nil else {
    throw Failure.usage("A report needs at least one run or a store; name its folder.")
  }
  let templates = try Templates([
    "page": pageTemplate, "run": runTemplate, "comparison": comparisonTemplate,
    "tree": treeTemplate, "how": howTemplate, "card": cardTemplate,
    "experts": expertsTemplate, "numbers": numbersTemplate, "store": storeTemplate,
    "evaluation": evaluationTemplate,
  ])
  let hierarchical = input.runs.filter { !$0.shape.isFlat }.count
  var body: PageBody
  if input.runs.isEmpty {
    body = PageBody(html: "")
  } else if input.runs.count == 1 || (input.runs.count == 2 && hierarchical == 1) {
    // The page is about the hierarchical run, whichever was named first.
    let runs = input.runs.sorted { !$0.shape.isFlat && $1.shape.isFlat }
    body = try runPage(
      runs[0], baseline: runs.count > 1 ? runs[1] : nil, input.evaluation, templates)
  } else {
    body = try comparisonPage(input.runs, templates)
  }
  if let evaluation = input.evaluation {
    let isAlone = input.runs.isEmpty
    body.html =
      body.html
      + (try templates.render("evaluation", evaluationView(evaluation, isAlone: isAlone)))
    if isAlone {
      body.sections += evaluation.suites.enumerated().map { (suiteAnchor($0), "\($1)") }
    } else {
      body.sections.append(("evaluation", "Evaluation"))
    }
  }
  if let store = input.store {
    body.html = body.html + (try templates.render("store", storeView(store)))
    body.sections.append(("activations", "Activations"))
  }
  let page = try templates.render(
    "page",
    [
      "title": "\(input.title)", "subtitle": "\(input.subtitle)",
      "style": .markup(Markup(trusted: style)), "script": .markup(Markup(trusted: script)),
      "figures": .list(body.figures), "hasFigures": .flag(!body.figures.isEmpty),
      "sections": .list(
        body.sections.map { ["anchor": .markup($0.anchor), "label": .markup($0.label)] }),
      "body": .markup(body.html), "index": .markup(body.index),
      "hasIndex": .flag(!body.index.isEmpty), "command": "\(input.command ?? "")",
      "hasWords": .flag(!input.runs.isEmpty || input.store != nil),
      "hasCommand": .flag(input.command != nil),
    ])
  return page.html
}

/// What fills the frame of a page.
struct PageBody {
  var html: Markup
  var figures: [[String: View]] = []
  var sections: [(anchor: Markup, label: Markup)] = []
  var index: Markup = ""
}
