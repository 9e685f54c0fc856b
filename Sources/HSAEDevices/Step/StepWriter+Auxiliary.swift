// The parts of the loss that do not follow from the active latents: AuxK (`docs/method.md`, "Flat baseline") and
// orthogonality (eq. 3.4).

internal import HSAEModels

/// What dead latents explain. The gradient takes e and the factor for constants.
struct AuxiliaryPass {
  /// The loss, unweighted.
  var loss: Tensor
  /// The number of dead latents.
  var latents: Tensor
  /// The codes of the dead latents that explain a row, else 0: [B × m].
  var codes: Tensor
  /// ∂L/∂ê: [B × d].
  var gradient: Tensor
}

/// Orthogonality and its gradients, unweighted.
struct OrthogonalityPass {
  /// L_ortho.
  var loss: Tensor
  /// ∂L_ortho/∂E and ∂L_ortho/∂D: [m × d].
  var encoder: Tensor
  var decoder: Tensor
}

extension StepWriter {
  /// AuxK; nil if the recipe does not have it.
  func auxiliary(_ pass: ForwardPass) -> AuxiliaryPass? {
    let active = min(objective.auxkActive, shape.experts)
    guard objective.auxk > 0, active > 0 else { return nil }
    let (m, rowCount) = (shape.experts, Double(batch))
    let silent = counter(.rows).spread([m]) - usage[0]
    let dead = silent >= counter(.deadWindow)
    let latents = dead.converted(to: .f32).sum()
    // The largest pre-activations among the dead latents of each row.
    let u = pass.preActivations
    let (values, places) = dead.forEachRow(batch).select(u, u.constant(-.infinity)).largest(active)
    let takesAll = objective.auxkScale == .deadShare
    let taken = values > (takesAll ? -.infinity : 0)
    let codes = taken.select(values).added(to: zeros([batch, m]), alongRowsAt: places)
    let e = pass.residual
    let missing = codes.product(self[.decoder], over: (1, 0), in: dense) - e
    let factor: Tensor
    if takesAll {
      factor = (latents / Double(objective.auxkActive)).least(latents.constant(1))
    } else {
      let mean = e.sum([0]) / rowCount
      let variance = (e - mean.forEachRow(batch)).square.sum() / rowCount
      // If all residuals are equal, only rounding errors remain.
      let isKnown = variance > e.square.sum() * (1e-6 / rowCount)
      factor = isKnown.and(latents > 0).select(variance.constant(1) / variance)
    }
    return AuxiliaryPass(
      loss: factor * missing.square.sum() / rowCount, latents: latents, codes: codes,
      gradient: missing * (factor * (2 * Double(objective.auxk) / rowCount)))
  }

  /// L_ortho by the two Gram matrices; nil without that term, or with one latent.
  func orthogonality() -> OrthogonalityPass? {
    guard objective.ortho > 0, shape.experts > 1 else { return nil }
    let (E, D) = (self[.encoder], self[.decoder])
    let pairs = Double(shape.experts) * Double(shape.experts - 1)
    let gramE = E.product(E, over: (0, 0), in: dense)
    let gramD = D.product(D, over: (0, 0), in: dense)
    let own = (E * D).sum([1])
    let squares = (gramE * gramD).sum() - own.square.sum()
    let root = squares.most(squares.constant(0)).squareRoot
    // 1 / (√S (m² − m)), or 0 if S, the sum of squares, is not above 0.
    let scale = (squares > 0).select(root.constant(1) / root) / pairs
    let diagonal = own.repeated(shape.width)
    return OrthogonalityPass(
      loss: root / pairs,
      encoder: (E.product(gramD, over: (1, 0), in: dense) - diagonal * D) * scale,
      decoder: (D.product(gramE, over: (1, 0), in: dense) - diagonal * E) * scale)
  }
}
