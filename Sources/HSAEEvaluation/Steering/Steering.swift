// Steering: edits a model's residual stream along the direction of a latent, as SAELens and Neuronpedia do.
// docs/evaluation.md has the formulas.

public import HSAELanguageModels
public import HSAEModels
public import HSAERuns
import HSAESupport
import HSAETensors

/// An edit of the residual stream along latents.
public struct Steering: Sendable {
  /// The kind of edit.
  public enum Action: Hashable, Sendable {
    /// Add the latent's direction times `strength` and the latent's largest code.
    case add(strength: Float)
    /// Subtract from a row what the latent adds to the row's reconstruction.
    case ablate
  }

  /// A latent with its largest code on some set of rows.
  public struct Target: Hashable, Sendable {
    /// The latent.
    public var latent: LatentNumber
    /// Its largest code.
    public var maximum: Float

    /// A latent with its largest code.
    public init(_ latent: LatentNumber, maximum: Float) {
      (self.latent, self.maximum) = (latent, maximum)
    }
  }

  private let dictionary: SparseAutoencoder
  private let latents: [LatentNumber]
  private let action: Action
  private let rowScale: RowScale
  private let threads: Int
  /// Σ maximum · direction over the targets [d].
  private let direction: [Float]

  /// Does `action` along `targets`, latents of `dictionary`. `rowScale` is how rows are scaled for the dictionary:
  /// unless they are not, codes are relative to the length of a row.
  public init(
    _ action: Action, _ targets: [Target], of dictionary: SparseAutoencoder, rowScale: RowScale,
    threads: Int
  ) {
    (self.action, self.dictionary, self.rowScale) = (action, dictionary, rowScale)
    self.threads = threads
    latents = targets.map(\.latent)
    var sum = [Float](repeating: 0, count: dictionary.shape.width)
    for target in targets {
      for (column, value) in dictionary.contribution(of: target.latent).enumerated() {
        sum[column] += target.maximum * value
      }
    }
    direction = sum
  }

  /// The edit after block `block` of all rows from position `start` on. Rows of special tokens stay as they
  /// are, because dictionaries are not trained on them.
  public func splice(
    afterBlock block: Int, from start: Int = 0, tokenizer: any Tokenizer
  ) -> Splice {
    Splice(afterBlock: block) { rows, places in
      let edited = places.indices.filter {
        places[$0].position >= start && !tokenizer.isSpecial(places[$0].token)
      }
      guard !edited.isEmpty else { return }
      var input = rows.copy()
      let lengths = rowScale.apply(to: &input).factors
      switch action {
      case .add(let strength):
        guard strength != 0 else { return }
        for index in edited {
          Self.add(direction, strength * lengths[index], to: &rows, index)
        }
      case .ablate:
        let codes = dictionary.encode(input, threads: threads)
        for index in edited {
          for code in codes[index] {
            for (latent, value) in ablated(of: code) {
              Self.add(
                dictionary.contribution(of: latent), -value * lengths[index], to: &rows, index)
            }
          }
        }
      }
    }
  }

  /// The parts of `code` to subtract. An expert is subtracted together with its sublatent, which cannot be
  /// active without it.
  private func ablated(of code: Code) -> [(latent: LatentNumber, value: Float)] {
    let expert = LatentNumber(expert: code.expert)
    let own = latents.contains(expert)
    var parts = own ? [(expert, code.value)] : []
    if code.sublatent >= 0 {
      let sublatent = LatentNumber(expert: code.expert, sublatent: code.sublatent)
      if own || latents.contains(sublatent) { parts.append((sublatent, code.subValue)) }
    }
    return parts
  }

  private static func add(
    _ direction: [Float], _ factor: Float, to rows: inout Matrix, _ index: Int
  ) {
    var row = rows.mutableRow(index)
    for column in row.indices { row[column] += factor * direction[column] }
  }
}
