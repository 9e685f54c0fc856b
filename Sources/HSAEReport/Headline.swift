// The numbers that a page and the terminal show first: how well a run reconstructs, and on which rows. These are
// held-out rows if an evaluation has them, else the page's own rows, which are usually training rows.

import HSAEEvaluation
import HSAEHTML
import HSAEModels

/// How well a run reconstructs.
struct Headline {
  /// Mean ‖x − x̂‖².
  var squaredError: Double
  var explainedVariance: Double
  /// The explained variance of the top level alone; nil for a flat run.
  var topLevel: Double?
  /// The rows, as a clause.
  var place: Markup
  /// The held-out rows, in the words of `hsae evaluate`; nil for the page's own rows.
  var heldOut: String?

  /// The numbers of `run` on held-out rows; nil if `evaluation` has none.
  init?(_ run: RunReport, heldOutBy evaluation: Evaluation?) {
    let evaluated = evaluation?.runs.first { $0.name == run.name && $0.shape == run.shape }
    guard let result = evaluated?.result(CoreSuite.name), result.isHeldOut == true,
      let error = result["mse"]?.value, let variance = result["explained_variance"]?.value
    else { return nil }
    (squaredError, explainedVariance) = (error, variance)
    topLevel = result["explained_variance_top_level"]?.value
    place = "on held-out rows"
    // The text after the semicolon says where losses were measured.
    heldOut = String(result.evaluatedOn.prefix { $0 != ";" })
  }

  /// The numbers of `run` on the page's own rows; nil if it has none.
  init?(_ run: RunReport) {
    guard let quality = run.numbers?.reconstruction else { return nil }
    squaredError = quality.full.squaredError
    explainedVariance = quality.full.explainedVariance
    topLevel = run.shape.isFlat ? nil : quality.topLevel.explainedVariance
    place = rowsClause(run)
  }
}

/// The rows of the page's own numbers, as a clause.
func rowsClause(_ run: RunReport) -> Markup {
  guard let isTrainingData = run.isTrainingData else {
    return "on rows it may have been trained on"
  }
  return isTrainingData ? "on training rows" : "on rows it was not trained on"
}
