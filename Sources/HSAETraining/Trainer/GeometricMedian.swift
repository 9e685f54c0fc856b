// The first value of an input bias: the geometric median of a sample of rows (Gao et al.), by Weiszfeld's
// iteration in double precision.

internal import HSAEModels
internal import HSAETensors

/// The point with the smallest sum of distances to the rows of `rows` [n × d].
func geometricMedian(of rows: borrowing Matrix, iterations: Int = 50) -> [Float] {
  let d = rows.columns
  var point = [Double](repeating: 0, count: d)
  for row in 0..<rows.rows {
    for column in 0..<d { point[column] += Double(rows[row, column]) / Double(rows.rows) }
  }
  for _ in 0..<iterations {
    var next = [Double](repeating: 0, count: d)
    var total = 0.0
    for row in 0..<rows.rows {
      let x = rows.row(row)
      let weight = 1 / max(x.squaredDistance(from: point).squareRoot(), 1e-12)
      total += weight
      x.add(to: &next, scale: weight)
    }
    var moved = 0.0
    for column in 0..<d {
      let value = next[column] / total
      moved += (value - point[column]) * (value - point[column])
      point[column] = value
    }
    if moved.squareRoot() < 1e-9 { break }
  }
  return point.map(Float.init)
}
