// Finds, for each row of one matrix, the rows of another with the largest and the smallest dot products:
// tokens that a direction promotes and suppresses, and similar directions. It never stores all products.

internal import CHSAEKernels
internal import HSAETensors

/// A row and its dot product.
struct RankedProduct: Hashable, Sendable {
  /// The index of the candidate.
  var index: Int
  /// The product, in fp32.
  var value: Float
}

/// How many products are in each of a row of bins of equal width.
struct ProductHistogram: Hashable, Sendable {
  /// The number of bins that are counted, half of them below 0. The outermost ones have everything beyond them too.
  static let bins = 256
  /// The width of a bin.
  var width: Float
  /// The first bin that is not empty: it begins at `width` · (`first` − `bins` / 2).
  var first: Int
  /// From the first bin to the last one that is not empty.
  var counts: [Int]
}

/// The candidates, prepared once for any number of queries.
final class StrongestProducts: Sendable {
  /// Numbers of queries and candidates in a tile of products.
  private static let queryTile = 128
  private static let candidateTile = 1024
  private let candidates: Matrix
  private let halves: Buffer<UInt16>?
  private let precision: Precision

  /// The candidates found for one query.
  struct Found: Sendable {
    /// By falling product.
    var largest: [RankedProduct] = []
    /// By rising product.
    var smallest: [RankedProduct] = []
    /// All products, if a histogram was wanted. In bf16 they are not multiplied again.
    var histogram: ProductHistogram?
  }

  /// Prepares the rows of `candidates`. In bf16, twice as many candidates as wanted are kept, multiplied
  /// again in fp32, and the best of them chosen.
  init(_ candidates: consuming Matrix, precision: Precision = .best, threads: Int) {
    self.precision = precision
    halves = precision == .bfloat16 ? Self.rounded(candidates, threads: threads) : nil
    self.candidates = candidates
  }

  private static func rounded(_ matrix: borrowing Matrix, threads: Int) -> Buffer<UInt16> {
    let halves = Buffer<UInt16>(matrix.count)
    let size = 1 << 20
    let count = matrix.count
    unsafe matrix.withUnsafePointer { source in
      parallelFor(pieceCount(count, size: size), threads: threads) { piece, _ in
        // Safe: pieces are disjoint ranges of both matrices, which have `count` elements.
        let range = pieceRange(piece, size: size, count: count)
        unsafe kernels.to_bfloat16(
          halves.base + range.lowerBound, source + range.lowerBound, range.count)
      }
    }
    return halves
  }

  /// The `count` candidates with the largest products for each row of `queries`; with `wantsSmallest`, also those
  /// with the smallest. With `binWidth` all products are counted in bins of that width. Among equal products the first candidate
  /// wins. `threads` does not change the result.
  func find(
    _ queries: borrowing Matrix, count: Int, wantsSmallest: Bool = false, binWidth: Float? = nil,
    threads: Int
  ) -> [Found] {
    let (q, n, d) = (queries.rows, candidates.rows, candidates.columns)
    precondition(queries.columns == d, "Queries of width \(queries.columns), not \(d).")
    guard q > 0, n > 0, count > 0 else { return Array(repeating: Found(), count: q) }
    let rowTile = min(Self.queryTile, q)
    let columnTile = min(Self.candidateTile, n)
    let keep = precision == .bfloat16 ? 2 * count + 8 : count
    let capacity = 2 * keep + 64
    let sides = wantsSmallest ? 2 : 1
    let product = TileProduct(
      rowSizes: [rowTile, q % rowTile], columnSizes: [columnTile, n % columnTile], depth: d,
      a: .rows(d), b: .transposed(d), cStride: columnTile, precision: precision, workers: threads)
    let roundedQueries =
      precision == .bfloat16 ? Self.rounded(queries, threads: threads) : nil
    let sums = Buffer<Float>(threads * rowTile * columnTile)
    let keys = Buffer<UInt64>(threads * rowTile * sides * capacity)
    let results = Buffer<UInt64>(q * sides * keep)
    let found = Buffer<Int32>(q * sides)
    let bins = Buffer<UInt32>(binWidth == nil ? 1 : q * ProductHistogram.bins)
    unsafe queries.withUnsafePointer { a in
      unsafe candidates.withUnsafePointer { b in
        parallelFor(pieceCount(q, size: rowTile), threads: threads) { piece, worker in
          // Safe: each worker has its own part of `sums` and `keys`, each piece its own rows of the results.
          let rows = pieceRange(piece, size: rowTile, count: q)
          let c = unsafe sums.base + worker * rowTile * columnTile
          let lists = rows.count * sides
          let own = unsafe keys.base + worker * rowTile * sides * capacity
          var counts = [Int](repeating: 0, count: lists)
          var floors = [Float](repeating: -.infinity, count: lists)
          for first in stride(from: 0, to: n, by: columnTile) {
            let columns = min(columnTile, n - first)
            if let queriesBF16 = roundedQueries, let candidatesBF16 = halves {
              unsafe product.run(
                rows: rows.count, columns: columns, a: queriesBF16.base + rows.lowerBound * d,
                b: candidatesBF16.base + first * d, c: c, worker: worker)
            } else {
              unsafe product.run(
                rows: rows.count, columns: columns, a: a + rows.lowerBound * d, b: b + first * d,
                c: c, worker: worker)
            }
            if let binWidth {
              for row in 0..<rows.count {
                unsafe Self.count(
                  c + row * columnTile, columns, width: binWidth,
                  in: bins.base + (rows.lowerBound + row) * ProductHistogram.bins)
              }
            }
            for list in 0..<lists {
              let line = unsafe c + list / sides * columnTile
              if list % sides == 1 { unsafe kernels.scale(line, line, -1, columns) }
              var unused = 0.0
              unsafe counts[list] = kernels.scan(
                line, columns, Int32(first), 0, nil, &unused, &floors[list], own + list * capacity,
                counts[list], keep, capacity)
            }
          }
          for list in 0..<lists {
            let target = rows.lowerBound * sides + list
            let kept = unsafe hsae_keys_top(own + list * capacity, counts[list], keep)
            unsafe found.base[target] = Int32(kept)
            for index in 0..<kept {
              unsafe results.base[target * keep + index] = own[list * capacity + index]
            }
          }
        }
      }
    }
    var all = [Found](repeating: Found(), count: q)
    for list in 0..<q * sides {
      let (query, side) = list.quotientAndRemainder(dividingBy: sides)
      var products: [RankedProduct] = []
      for index in 0..<Int(unsafe found.base[list]) {
        let candidate = Int(unsafe hsae_key_index(results.base[list * keep + index]))
        products.append(
          RankedProduct(
            index: candidate, value: Self.product(queries, query, candidates, candidate)))
      }
      products.sort {
        if $0.value != $1.value { return side == 0 ? $0.value > $1.value : $0.value < $1.value }
        return $0.index < $1.index
      }
      all[query][keyPath: side == 0 ? \Found.largest : \.smallest] = Array(products.prefix(count))
    }
    if let binWidth {
      for query in 0..<q {
        let counts = (0..<ProductHistogram.bins).map {
          Int(unsafe bins.base[query * ProductHistogram.bins + $0])
        }
        guard let first = counts.firstIndex(where: { $0 > 0 }),
          let last = counts.lastIndex(where: { $0 > 0 })
        else { continue }
        all[query].histogram = ProductHistogram(
          width: binWidth, first: first, counts: Array(counts[first...last]))
      }
    }
    return all
  }

  /// Adds the `count` numbers at `products` to the bins at `bins`.
  private static func count(
    _ products: UnsafePointer<Float>, _ count: Int, width: Float,
    in bins: UnsafeMutablePointer<UInt32>
  ) {
    let (scale, middle) = (1 / width, Float(ProductHistogram.bins / 2))
    for index in 0..<count {
      // Safe: the caller has `count` products and all bins. The comparisons put NaN into the first bin.
      let place = unsafe products[index] * scale + middle
      let bin = place > 0 ? (place < 2 * middle ? Int(place) : ProductHistogram.bins - 1) : 0
      unsafe bins[bin] += 1
    }
  }

  /// The dot product of row `i` of `a` and row `j` of `b`.
  private static func product(
    _ a: borrowing Matrix, _ i: Int, _ b: borrowing Matrix, _ j: Int
  ) -> Float { dot(a.row(i), b.row(j)) }
}
