// What a page and the terminal say first of a run: how well it reconstructs, and on which rows. Held-out rows,
// where an evaluation has them; else those of the page, which are those of training as a rule.

import HSAEEvaluation
import HSAEHTML
import HSAEModels

/// How well a run reconstructs.
struct Headline {
  /// Mean ‖x − x̂‖².
  var squaredError: Double
  /// The explained variance.
  var explainedVariance: Double
  /// That of the top level alone; nil where there is one level.
  var topLevel: Double?
  /// On which rows, as a clause.
  var place: Markup
  /// On which rows, as `hsae evaluate` says it; nil where they are the page's.
  var heldOut: String?

  /// The numbers that `evaluation` has of `run` on held-out rows; nil where it has none.
  init?(_ run: RunReport, heldOutBy evaluation: Evaluation?) {
    let evaluated = evaluation?.runs.first { $0.name == run.name && $0.shape == run.shape }
    guard let result = evaluated?.result(CoreSuite.name), result.isHeldOut == true,
      let error = result["mse"]?.value, let variance = result["explained_variance"]?.value
    else { return nil }
    (squaredError, explainedVariance) = (error, variance)
    topLevel = result["explained_variance_top_level"]?.value
    place = "on held-out rows"
    // Without what its losses are of.
    heldOut = String(result.evaluatedOn.prefix { $0 != ";" })
  }

  /// The numbers of the page's own rows; nil where it has none.
  init?(_ run: RunReport) {
    guard let quality = run.numbers?.reconstruction else { return nil }
    (squaredError, explainedVariance) = (
      quality.full.squaredError, quality.full.explainedVariance
    )
    topLevel = run.shape.isFlat ? nil : quality.topLevel.explainedVariance
    place = rowsClause(run)
  }
}

/// Which rows the page's own numbers are of.
func rowsClause(_ run: RunReport) -> Markup {
  guard let isTrainingData = run.isTrainingData else { return "on rows its training may have had" }
  return isTrainingData ? "on training rows" : "on rows it was not trained on"
}
