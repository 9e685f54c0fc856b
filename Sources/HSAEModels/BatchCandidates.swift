// Pairs of a row and a latent that compete for the places of a batch, for the selections that look at a whole
// batch (`TopLevelEncoder+Batch.swift`).

internal import CHSAEKernels

/// A row, a latent and the value that orders them.
struct BatchCandidate: BitwiseCopyable {
  /// `hsae_key` of the value and the latent.
  var key: UInt64
  /// The row in the batch.
  var row: Int32

  var value: Float { hsae_key_value(key) }
  var latent: Int32 { hsae_key_index(key) }

  /// Whether this one takes a place before `other`: the larger value, then the lower row, then the lower latent.
  func precedes(_ other: BatchCandidate) -> Bool {
    let (own, others) = (key >> 32, other.key >> 32)
    if own != others { return own > others }
    return row == other.row ? key > other.key : row < other.row
  }
}

/// A list of candidates. One thread uses it at a time.
final class BatchCandidates {
  var items: ContiguousArray<BatchCandidate> = []

  /// Appends the candidates that `keys` hold for `row`.
  func append(_ keys: UnsafeMutablePointer<UInt64>, count: Int, row: Int) {
    // Safe: callers give `count` keys.
    for index in 0..<count {
      unsafe items.append(BatchCandidate(key: keys[index], row: Int32(row)))
    }
  }

  /// Puts the `count` strongest first, the weakest of them last, in no other order. There must be at least `count`
  /// candidates, and `count` must be positive.
  func partition(_ count: Int) {
    precondition(count >= 1 && count <= items.count, "\(count) of \(items.count) candidates.")
    unsafe items.withUnsafeMutableBufferPointer { items in
      // Safe: quickselect with the median of three as pivot. Candidates are distinct, so both inner loops stop at
      // the pivot or before, and all indices stay within low … high.
      let wanted = count - 1
      var (low, high) = (0, items.count - 1)
      while low < high {
        let pivot = unsafe median(items[low], items[low + (high - low) / 2], items[high])
        var (i, j) = (low, high)
        while i <= j {
          while unsafe items[i].precedes(pivot) { i += 1 }
          while unsafe pivot.precedes(items[j]) { j -= 1 }
          if i <= j {
            unsafe items.swapAt(i, j)
            i += 1
            j -= 1
          }
        }
        if wanted <= j {
          high = j
        } else if wanted >= i {
          low = i
        } else {
          return
        }
      }
    }
  }

  /// Keeps the `count` strongest candidates and those whose value is at most `slack` below the weakest of them.
  /// Returns that weakest value; nil if there are fewer than `count` and all were kept.
  func keepStrongest(_ count: Int, slack: Float) -> Float? {
    guard items.count >= count, count > 0 else { return nil }
    partition(count)
    let border = items[count - 1].value
    var end = count
    if slack > 0 {
      for index in count..<items.count where items[index].value >= border - slack {
        items.swapAt(end, index)
        end += 1
      }
    }
    items.removeLast(items.count - end)
    return border
  }
}

private func median(_ a: BatchCandidate, _ b: BatchCandidate, _ c: BatchCandidate)
  -> BatchCandidate
{
  let (ab, bc, ac) = (a.precedes(b), b.precedes(c), a.precedes(c))
  if ab == bc { return b }
  return ab == ac ? c : a
}
