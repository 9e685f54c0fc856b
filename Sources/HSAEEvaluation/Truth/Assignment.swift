// Matches rows with columns one to one so that their similarities add up to the most (the assignment problem).

import HSAETensors

/// The column of each row of `similarities` [n × m, n ≤ m] in the one-to-one matching whose similarities, numbers up to
/// 1, have the largest sum.
///
/// The first row that likes a column best gets it at once. For each of the others a shortest augmenting path is
/// searched (Jonker and Volgenant 1987; for n ≤ m Crouse 2016), on the costs 1 − similarity. Ties are broken by index.
func bestAssignment(_ similarities: borrowing Matrix) -> [Int] {
  let (rows, columns) = (similarities.rows, similarities.columns)
  precondition(rows <= columns, "An assignment of \(rows) rows to \(columns) columns.")
  var columnOfRow = [Int](repeating: -1, count: rows)
  var rowOfColumn = [Int](repeating: -1, count: columns)
  // The prices of rows and columns: no cost is below the sum of its two prices, matched ones are equal to it, and
  // columns without a row have the price 0.
  var rowPrice = [Double](repeating: 0, count: rows)
  var columnPrice = [Double](repeating: 0, count: columns)
  for row in 0..<rows {
    let own = similarities.row(row)
    var best = 0
    for column in own.indices where own[column] > own[best] { best = column }
    rowPrice[row] = 1 - Double(own[best])
    if rowOfColumn[best] < 0 { (rowOfColumn[best], columnOfRow[row]) = (row, best) }
  }
  var distance = [Double](repeating: 0, count: columns)
  var previous = [Int](repeating: -1, count: columns)
  for start in 0..<rows where columnOfRow[start] < 0 {
    for column in 0..<columns { distance[column] = .infinity }
    var open = Array(0..<columns)
    var visited: [(row: Int, distance: Double)] = []
    var closed: [Int] = []
    var (row, travelled) = (start, 0.0)
    var end = -1
    while end < 0 {
      visited.append((row, travelled))
      let own = similarities.row(row)
      let base = travelled - rowPrice[row]
      var (nearest, least) = (0, Double.infinity)
      for (place, column) in open.enumerated() {
        let reduced = base + 1 - Double(own[column]) - columnPrice[column]
        if reduced < distance[column] {
          distance[column] = reduced
          previous[column] = row
        }
        // Among equals a free column ends the search.
        if distance[column] < least
          || distance[column] == least && rowOfColumn[column] < 0
            && rowOfColumn[open[nearest]] >= 0
        {
          (nearest, least) = (place, distance[column])
        }
      }
      let column = open[nearest]
      travelled = least
      open.swapAt(nearest, open.count - 1)
      open.removeLast()
      closed.append(column)
      if rowOfColumn[column] < 0 { end = column } else { row = rowOfColumn[column] }
    }
    for (row, distance) in visited { rowPrice[row] += travelled - distance }
    for column in closed { columnPrice[column] -= travelled - distance[column] }
    // Along the path each row takes the column it came by.
    var column = end
    while true {
      let row = previous[column]
      let next = columnOfRow[row]
      (rowOfColumn[column], columnOfRow[row]) = (row, column)
      if row == start { break }
      column = next
    }
  }
  return columnOfRow
}
