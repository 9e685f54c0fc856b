// Statistics of ranks: Spearman's correlation, and the area under the receiver operating characteristic.

/// The rank of each value, from 0 on; equal values share the mean of their ranks.
func averageRanks(_ values: [some Comparable]) -> [Double] {
  let order = values.indices.sorted { values[$0] < values[$1] }
  var result = [Double](repeating: 0, count: values.count)
  var start = 0
  while start < order.count {
    var end = start + 1
    while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
    for place in start..<end { result[order[place]] = Double(start + end - 1) / 2 }
    start = end
  }
  return result
}

/// Spearman's rank correlation, equal numbers sharing the mean of their ranks; nil where one side is constant.
func rankCorrelation(_ first: [Float], _ second: [Float]) -> Double? {
  precondition(first.count == second.count, "Two lists of different lengths.")
  let (a, b) = (averageRanks(first), averageRanks(second))
  let mean = Double(first.count - 1) / 2
  var (product, squares, others) = (0.0, 0.0, 0.0)
  for (x, y) in zip(a, b) {
    product += (x - mean) * (y - mean)
    squares += (x - mean) * (x - mean)
    others += (y - mean) * (y - mean)
  }
  let spread = (squares * others).squareRoot()
  return spread > 0 ? product / spread : nil
}

/// The area under the receiver operating characteristic: the chance that a row with label yes has a larger score than one
/// with label no, equal scores counting half. NaN without rows of both kinds.
func areaUnderCurve(_ scores: [Double], labels: [Bool]) -> Double {
  precondition(scores.count == labels.count, "\(scores.count) scores, \(labels.count) labels.")
  let positives = Double(labels.count { $0 })
  let negatives = Double(labels.count) - positives
  guard positives > 0, negatives > 0 else { return .nan }
  let ranks = averageRanks(scores)
  var sum = 0.0
  for (rank, label) in zip(ranks, labels) where label { sum += rank }
  return (sum - positives * (positives - 1) / 2) / (positives * negatives)
}
