// The formats of imports, and the user's options.

import HSAESupport

/// A format that can be imported.
public enum ImportFormat: String, CaseIterable, Sendable {
  /// A folder of SAELens or `hsae export`.
  case saelens
  /// A folder of sparsify.
  case sparsify
  /// A params.npz of Gemma Scope.
  case gemmaScope = "gemma-scope"
  /// The arrays of the paper's authors.
  case authors = "h-sae"
}

/// What the user adds to a dictionary's files.
public struct ImportOptions: Hashable, Sendable {
  /// k, if the files do not contain it.
  public var k: Int?
  /// How many of a row's active latents are kept, for a dictionary without a k.
  public var maxActive: Int?
  /// α of the top level, if the files do not contain it.
  public var threshold: Float?
  /// α of the sublatents.
  public var subThreshold: Float?
  /// The slope below α, top level.
  public var slope: Float?
  /// The slope below α, sublatents.
  public var subSlope: Float?

  /// No options.
  public init() {}

  /// The default of `maxActive`.
  public static let defaultMaxActive = 1_024

  func maxActive(of latents: Int) -> Int { min(latents, maxActive ?? Self.defaultMaxActive) }

  /// Fails with `.usage` if k is given; `reason` tells why it is not needed.
  func refuseK(_ reason: String) throws(Failure) {
    if k != nil { throw .usage("--k is not needed: \(reason); leave it out.") }
  }
}
