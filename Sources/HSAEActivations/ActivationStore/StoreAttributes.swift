// The attributes of an activation store's Zarr group.

/// The attributes of an activation store. In the file, names have underscores (`model_name`).
public struct StoreAttributes: Codable, Hashable, Sendable {
  /// What the rows are.
  public enum Kind: String, Codable, Sendable {
    /// Rows of an unembedding matrix, one for each token that was kept.
    case unembedding
    /// A language model's residual stream, one row for each token of a corpus.
    case residualStream = "residual-stream"
  }

  /// What the rows are.
  public var kind: Kind
  /// The version of this layout, 1.
  public var formatVersion = 1
  /// The model's name, as its file gives it.
  public var modelName: String
  /// SHA-256 of the model's file, in hexadecimal.
  public var modelSHA256: String
  /// The type of the weights that computed the rows: "q8_0", "f32".
  public var weightsType: String?
  /// The rows' place in the model: "unembedding", "output of block 12, counting from 0".
  public var hookPoint: String
  /// The block whose output they are, counting from 0; nil for an unembedding.
  public var layer: Int?
  /// Tokens per context; nil for an unembedding.
  public var contextLength: Int?
  /// Which tokens were dropped, as a sentence.
  public var tokenRule: String?
  /// The preparation of the rows before they were scaled to unit norm: "centred, whitened".
  public var preprocessing: String?
  /// The seed of the permutation that shuffled the rows.
  public var shuffleSeed: UInt64 = 0
  /// The name of the permutation's construction.
  public var shuffle = Permutation.name
  /// The number of rows.
  public var rowCount = 0
  /// The width of rows.
  public var width = 0
  /// Whether all rows are written.
  public var complete = false
  /// How the rows were collected; nil for an unembedding.
  public var collection: CollectionAttributes?
  /// Other facts, as text.
  public var notes: [String: String] = [:]

  /// Attributes of a store from the model `modelName` at `hookPoint`; the counts and the seed come later.
  public init(kind: Kind, modelName: String, modelSHA256: String, hookPoint: String) {
    self.kind = kind
    self.modelName = modelName
    self.modelSHA256 = modelSHA256
    self.hookPoint = hookPoint
  }

  enum CodingKeys: String, CodingKey {
    case kind, layer, preprocessing, shuffle, width, complete, collection, notes
    case formatVersion = "hsae_store_version"
    case modelName = "model_name"
    case modelSHA256 = "model_sha256"
    case weightsType = "weights_type"
    case hookPoint = "hook_point"
    case contextLength = "context_length"
    case tokenRule = "token_rule"
    case shuffleSeed = "shuffle_seed"
    case rowCount = "row_count"
  }
}

/// The `zarr.json` of a group with these attributes.
struct StoreGroup: Codable {
  var zarrFormat = 3
  var nodeType = "group"
  var attributes: StoreAttributes

  enum CodingKeys: String, CodingKey {
    case attributes
    case zarrFormat = "zarr_format"
    case nodeType = "node_type"
  }
}
