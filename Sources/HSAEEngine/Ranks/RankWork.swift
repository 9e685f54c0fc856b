// What an engine does together with other ranks: one function for each place of a step where ranks exchange
// data. The rows of a group's batch are divided among its ranks. The owner of a row decides which experts are
// active for it, completes its reconstructions and sends back the gradients with respect to them. Each rank
// does the rest of a step by itself.
//
// Bytes that a rank sends in a step, for a group of R ranks with B rows (without the few single numbers):
//   scores and answers   4·B·(k + 1)·(R − 1)/R, in bf16 4·B·(2k + 1)·(R − 1)/R + 8·B/R·(R − 1)
//   reconstructions      8·B·d·(R − 1)/R        (4 for a flat dictionary)
//   their gradients      8·B·d·(R − 1)/R, in bf16 4  (half of that for a flat dictionary)
//   orthogonality        16·d²·(R − 1)/R
//   between G groups     8·parameters/R·(G − 1)/G

internal import CHSAEKernels
internal import HSAEDistribution
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

/// The memory and the communicators of a step that several ranks share.
@safe
final class RankWork {
  private let share: RankShare
  private let threads: Int
  /// Which of the group's rows belong to each of its ranks: whole pieces of the forward pass.
  let owners: [Range<Int>]
  /// The common choice of active experts, and of dead latents; nil if one rank has the whole dictionary.
  private let choice: SharedChoice?
  private let deadChoice: SharedChoice?
  /// Sums over the ranks of a group, and over the ranks with the same experts; nil if there is one such rank.
  let dictionarySums: RankReduction?
  let copySums: RankReduction?

  init(_ share: RankShare, objective: Objective, threads: Int) {
    self.share = share
    self.threads = threads
    let (ranks, rows) = (share.dictionary, share.rows.count)
    let size = TrainingEngine.rowsPerPiece
    let pieces = pieceCount(rows, size: size)
    let owners = (0..<ranks.size).map { rank in
      let own = evenPart(rank, of: ranks.size, count: pieces)
      return min(rows, own.lowerBound * size)..<min(rows, own.upperBound * size)
    }
    self.owners = owners
    func choice(_ length: Int) -> SharedChoice? {
      guard ranks.size > 1, length > 0 else { return nil }
      return SharedChoice(ranks, owners: owners, batch: rows, length: length, threads: threads)
    }
    let experts = pieceCount(share.shape.experts, size: ranks.size)
    self.choice = choice(share.mostChosen)
    deadChoice = choice(objective.auxk > 0 ? min(objective.auxkActive, experts) : 0)
    let d = share.shape.width
    dictionarySums =
      ranks.size > 1
      ? RankReduction(
        ranks, largest: max(rows + size * ranks.size, objective.ortho > 0 ? d : 0) * d,
        threads: threads) : nil
    copySums =
      share.copies.size > 1
      ? RankReduction(share.copies, largest: share.ownShape.parameterCount, threads: threads) : nil
  }

  /// The rows whose reconstructions this rank completes.
  var ownRows: Range<Int> { owners[share.dictionary.rank] }

  /// Every rank has chosen among its own experts. Keeps those that are among the k largest of all.
  func choose(_ engine: TrainingEngine) {
    // Safe: scores and counts have the sizes of the encoder, whose lists begin every `active` elements; the
    // pointers stay within this call.
    guard let choice else { return }
    let encoder = engine.encoder
    unsafe engine.state.parameters.encoderSide.withUnsafePointer { weights in
      let rows = unsafe UnsafePointer(engine.batchRows.base)
      unsafe choice.settle(
        most: share.shape.activeExperts, length: share.mostChosen, scores: encoder.scores.base,
        stride: encoder.active, counts: encoder.counts.base,
        settle: engine.precision == .float32
          ? nil
          : { row, last, next in
            unsafe encoder.settle(
              row: row, last: last, next: next, rows: rows, encoder: weights)
          })
    }
  }

  /// Turns every rank's part of x̂_high and x̂_low into the gradients with respect to them, on all ranks of
  /// the group.
  func reconstruct(_ engine: TrainingEngine) {
    // Safe: `high` and `low` have `batch` rows of d elements, the bf16 copies as well in bf16. Rows belong to
    // one rank each.
    let d = share.shape.width
    let isFlat = share.shape.isFlat
    let parts = owners.map { $0.lowerBound * d..<$0.upperBound * d }
    if let dictionarySums {
      unsafe dictionarySums.reduce(engine.high.base, parts: parts)
      if !isFlat { unsafe dictionarySums.reduce(engine.low.base, parts: parts) }
    }
    let size = TrainingEngine.rowsPerPiece
    let pieces = engine.ownPieces
    parallelFor(pieces.count, threads: threads) { place, worker in
      let piece = pieces.lowerBound + place
      engine.residuals(pieceRange(piece, size: size, count: engine.batch), worker)
    }
    if engine.precision == .bfloat16 {
      unsafe gatherRows(engine.highBF16.base, rowBytes: 2 * d)
      if !isFlat { unsafe gatherRows(engine.lowBF16.base, rowBytes: 2 * d) }
    } else {
      unsafe gatherRows(engine.high.base, rowBytes: 4 * d)
      if !isFlat { unsafe gatherRows(engine.low.base, rowBytes: 4 * d) }
    }
  }

  /// Gives every rank of the group all rows of an array. Before, each rank has the rows it owns.
  ///
  /// - Safety: the array has `rowBytes` bytes for each row.
  @unsafe
  func gatherRows<Element>(_ array: UnsafeMutablePointer<Element>, rowBytes: Int) {
    // Safe: `owners` divide the rows of the array.
    unsafe share.dictionary.gather(
      UnsafeMutableRawPointer(array),
      owners.map { $0.lowerBound * rowBytes..<$0.upperBound * rowBytes })
  }

  /// Every rank has chosen among its own dead latents. Keeps those that are among the k_aux largest of all.
  func chooseDead(_ work: AuxiliaryLoss, most: Int) {
    // Safe: values and counts have the sizes of `AuxiliaryLoss`, whose lists begin every `work.active`
    // elements.
    guard let deadChoice else { return }
    let length = share.dictionary.max(min(work.active, work.latents.count))
    unsafe deadChoice.settle(
      most: most, length: length, scores: UnsafePointer(work.values.base), stride: work.active,
      counts: work.counts.base, settle: nil)
  }

  /// Turns every rank's part of ê into ê − e of the rows this rank owns; e is −scale · ∂L/∂x̂. Returns the
  /// sums of ‖ê − e‖² and ‖e‖² over all rows.
  func explainResidual(
    _ engine: TrainingEngine, _ work: AuxiliaryLoss, scale: Float
  ) -> (error: Double, squares: Double) {
    // Safe: a piece has its own rows of `reconstruction` and `low`, and its own two `sums`.
    // `AuxiliaryLoss.tileRows` is `rowsPerPiece`, so there are as many pieces.
    let d = share.shape.width
    if let dictionarySums {
      unsafe dictionarySums.reduce(
        work.reconstruction.base, parts: owners.map { $0.lowerBound * d..<$0.upperBound * d })
    }
    let size = TrainingEngine.rowsPerPiece
    let pieces = engine.ownPieces
    parallelFor(pieces.count, threads: threads) { place, _ in
      let piece = pieces.lowerBound + place
      var (error, squares) = (0.0, 0.0)
      for row in pieceRange(piece, size: size, count: engine.batch) {
        let target = unsafe work.reconstruction.base + row * d
        let residual = unsafe engine.plainResiduals.base + row * d
        unsafe squares += Double(scale) * Double(scale) * kernels.sum_squares(residual, d)
        unsafe kernels.axpy(target, residual, scale, d)
        unsafe error += kernels.sum_squares(target, d)
      }
      unsafe work.sums.base[2 * piece] = error
      unsafe work.sums.base[2 * piece + 1] = squares
    }
    var sums = [0.0, 0.0]
    for piece in pieces {
      unsafe sums[0] += work.sums.base[2 * piece]
      unsafe sums[1] += work.sums.base[2 * piece + 1]
    }
    share.world.sum(&sums)
    return (sums[0], sums[1])
  }
}

extension TrainingEngine {
  /// Sums the gradients of this engine's experts over all groups. Returns the squared norm of the whole
  /// dictionary's gradient without the bias; `squares` is the squared norm of this engine's part.
  func sumGradients(_ squares: Double) -> Double {
    // Safe: the counts are those of the four arrays. A piece reads its own experts and writes its own element
    // of `pieceSums`.
    guard let sums = ranks?.copySums else { return share.dictionary.sum(squares) }
    let side = shape.experts * shape.rowsPerExpert * shape.width
    let sub = shape.experts * shape.sublatents * shape.subspace
    let pieces = pieceCount(shape.experts, size: Self.expertsPerPiece)
    unsafe gradients.withUnsafeMutablePointers { gradient in
      unsafe sums.sum(gradient.encoderSide, side)
      unsafe sums.sum(gradient.decoderSide, side)
      unsafe sums.sum(gradient.subEncoder, sub)
      unsafe sums.sum(gradient.subDecoder, sub)
      parallelFor(pieces, threads: threads) { piece, _ in
        var squares = 0.0
        for expert in pieceRange(piece, size: Self.expertsPerPiece, count: shape.experts) {
          unsafe squares += squaredNorm(expert, gradient)
        }
        unsafe pieceSums.base[piece] = squares
      }
    }
    return share.dictionary.sum((0..<pieces).reduce(0) { unsafe $0 + pieceSums.base[$1] })
  }
}
