// How well a dictionary reconstructs rows; docs/evaluation.md defines the numbers. The suites of `hsae evaluate`,
// which need a language model or text, are not part of the library.

internal import HSAEModels
internal import HSAETensors

extension SparseDictionary {
  /// Rows in a chunk, which is also the batch of ``ReconstructionQuality/legacyExplainedVariance``.
  private static let chunk = 8192

  /// How well the dictionary reconstructs `rows`: explained variance, squared error, sparsity.
  ///
  /// The numbers are better for rows it was trained on than for others. An activation store holds some rows
  /// out of training: `RowFile(path: store, heldOut: true)`.
  ///
  /// - Parameters:
  ///   - rows: rows of the width of ``shape``, not normalised.
  ///   - threads: how many threads (nil: all processors); the result does not depend on it.
  /// - Precondition: the rows have that width.
  public func evaluate(_ rows: Rows, threads: Int? = nil) -> ReconstructionSummary {
    precondition(
      rows.width == shape.width, "Rows of width \(rows.width), not \(shape.width).")
    var metrics = ReconstructionMetrics(width: shape.width)
    let size = Self.chunk * rows.width
    for start in stride(from: 0, to: rows.elements.count, by: size) {
      let part = rows.elements[start..<min(rows.elements.count, start + size)]
      measure(Rows(elements: Array(part), width: rows.width), threads: threads, into: &metrics)
    }
    return metrics.summary
  }

  /// The same for rows that come in pieces of any size; only a few thousand are held at a time.
  ///
  /// The result does not depend on how the rows are cut into pieces.
  ///
  /// - Throws: ``Failure`` if the rows have another width, and whatever `batches` throws;
  ///   `CancellationError` if the task is cancelled.
  nonisolated(nonsending) public func evaluate<Batches: AsyncSequence>(
    on batches: Batches, threads: Int? = nil
  ) async throws -> ReconstructionSummary where Batches.Element == Rows {
    var metrics = ReconstructionMetrics(width: shape.width)
    var assembler = BatchAssembler(width: shape.width)
    for try await rows in batches {
      try assembler.append(rows)
      while let chunk = assembler.take(Self.chunk) {
        metrics = try await measured(chunk, threads: threads, after: metrics)
      }
    }
    try Task.checkCancellation()
    if let rest = assembler.take(assembler.count), !rest.isEmpty {
      metrics = try await measured(rest, threads: threads, after: metrics)
    }
    return metrics.summary
  }

  /// `metrics` with a chunk added, computed off the threads that tasks share.
  nonisolated(nonsending) private func measured(
    _ chunk: [Float], threads: Int?, after metrics: ReconstructionMetrics
  ) async throws -> ReconstructionMetrics {
    try await WorkQueue(label: "hsae.evaluation").run { () throws(Failure) in
      var metrics = metrics
      measure(Rows(elements: chunk, width: shape.width), threads: threads, into: &metrics)
      return metrics
    }
  }

  private func measure(
    _ rows: Rows, threads: Int?, into metrics: inout ReconstructionMetrics
  ) {
    let codes = encode(rows, threads: threads)
    let full = decode(codes, threads: threads)
    let top = shape.isFlat ? full : decode(codes, topLevelOnly: true, threads: threads)
    metrics.add(
      rows: normalised(rows).elements.span, codes: codes, reconstruction: full.elements.span,
      topLevel: top.elements.span)
  }
}
