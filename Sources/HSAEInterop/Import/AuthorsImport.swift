// Imports H-SAEs of the paper's authors (`sae/moe_eqx.py`): arrays saved as safetensors or npz under their
// own names. They do not contain k or thresholds. The user gives k; thresholds default to those of the
// published code.

import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

struct AuthorsImport {
  let arrays: any WeightArrays
  let options: ImportOptions

  /// Whether `arrays` have the authors' names.
  static func matches(_ arrays: some WeightArrays) -> Bool {
    let names = HierarchicalArrays.authors
    return [names.encoder, names.down, names.subDecoder].allSatisfy(arrays.has)
  }

  func read() throws(Failure) -> SourceDictionary {
    let (path, names) = (arrays.path, HierarchicalArrays.authors)
    guard let k = options.k else {
      throw .usage(
        "\(path): its arrays do not say how many experts are active; give --k (32 in the paper).")
    }
    let encoder = try arrays.shape(of: names.encoder, rank: 2)
    let sub = try arrays.shape(of: names.subEncoder, rank: 3)
    let shape = DictionaryShape(
      width: encoder[1], experts: encoder[0], sublatents: sub[1], subspace: sub[2],
      activeExperts: k)
    try shape.check(path)
    try names.check(arrays, shape)
    // The published code only has a bias of zero, so the meaning of any other bias is unknown.
    if arrays.has(names.bias),
      try arrays.vector(names.bias, count: shape.width).contains(where: { $0 != 0 })
    {
      throw .data(
        "\(path): \"\(names.bias)\" is not zero, but the published code does not use a bias; set it to zero if"
          + " the dictionary was trained without one.")
    }
    var parameters = Parameters(shape: shape)
    try names.read(arrays, into: &parameters)
    var source = SourceDictionary(
      parameters, .topK(rescaled: false), path: path,
      origin: Origin(layout: "H-SAE authors", architecture: "hsae", path: path))
    let alpha = Float(1 / Double(shape.width).squareRoot())
    source.activation = ActivationFunction(
      threshold: options.threshold ?? alpha, subThreshold: options.subThreshold ?? alpha,
      slope: options.slope ?? 0, subSlope: options.subSlope ?? 0.01)
    source.scalesRows = true
    if options.threshold == nil || options.subThreshold == nil {
      source.origin.notes.append(
        "Thresholds that were not given are the published code's, 1/√\(shape.width).")
    }
    return source
  }
}
