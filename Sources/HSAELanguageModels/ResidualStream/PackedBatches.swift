// How contexts of different lengths are packed into batches for a model that wants all sequences of a
// batch equally long: contexts of like length together, padded at the end. Causal models do not see
// the padding.

/// Some contexts that go through the model together.
struct PackedBatch: Equatable {
  /// The indices of the contexts, longest first.
  var contexts: [Int]
  /// The length all are padded to: that of the longest, rounded up.
  var length: Int

  /// Packs contexts of the given `lengths` into batches of at most `tokens` tokens with padding, and
  /// at most `sequences` contexts. A context longer than `tokens` has a batch of its own. Batches' lengths
  /// are rounded up to a multiple of `multiple`, and at least `minimum`.
  static func pack(
    lengths: [Int], tokens: Int, sequences: Int, multiple: Int = 1, minimum: Int = 1
  ) -> [PackedBatch] {
    let order = lengths.indices.sorted { (lengths[$1], $0) < (lengths[$0], $1) }
    var batches: [PackedBatch] = []
    for index in order {
      if let last = batches.last, last.contexts.count < sequences,
        (last.contexts.count + 1) * last.length <= tokens
      {
        batches[batches.count - 1].contexts.append(index)
      } else {
        let length = (max(lengths[index], minimum) + multiple - 1) / multiple * multiple
        batches.append(PackedBatch(contexts: [index], length: length))
      }
    }
    return batches
  }
}
