// Packs contexts of different lengths into batches for a model that wants all sequences of a batch equally
// long. Contexts of similar length go together, padded at the end; causal models do not see the padding.

struct PackedBatch: Equatable {
  /// The indices of the contexts, longest first.
  var contexts: [Int]
  /// The common padded length: that of the longest, rounded up.
  var length: Int

  /// Packs contexts of the given `lengths` into batches of at most `tokens` tokens, padding included, and at
  /// most `sequences` contexts. A context longer than `tokens` gets its own batch. A batch's length is
  /// rounded up to a multiple of `multiple` and is at least `minimum`.
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

  /// The number of tokens in a batch, at most `most`, with which `workers` that take batches of contexts of the given
  /// `lengths` end at about the same time. Small batches cost more for each token, so it is at least 64.
  static func size(lengths: [Int], most: Int, workers: Int) -> Int {
    let total = lengths.reduce(0, +)
    let rounds = (total + workers * most - 1) / (workers * most)
    // After several batches for each worker the last one does not matter.
    guard rounds < 4, let longest = lengths.max() else { return most }
    let share = (total + workers * rounds - 1) / (workers * rounds)
    // A share is made of whole contexts.
    return min(most, max(64, share + longest - 1))
  }
}
