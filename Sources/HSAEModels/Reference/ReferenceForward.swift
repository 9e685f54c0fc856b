// The forward pass and the loss of `docs/method.md`, written as they read there: row by row, expert by
// expert, in doubles. Gradients are in `ReferenceBackward.swift`.

/// One active expert of one row, with everything computed on the way to its code.
public struct ReferenceCode: Hashable, Sendable {
  /// The expert j.
  public var expert: Int
  /// Its code z_j, greater than 0.
  public var value: Double
  /// y_j = Π↓_j x: s numbers.
  public var projected: [Double]
  /// E_j^sub y_j, before the activation: a numbers.
  public var subPreActivations: [Double]
  /// c_j, after the activation: a numbers.
  public var subCodes: [Double]
  /// q = argmax c_j, the lowest of equals; -1 in a flat dictionary.
  public var sublatent: Int
  /// c_jq; 0 in a flat dictionary.
  public var subValue: Double
}

/// The loss of a batch and its parts. Each part is a mean over the batch without its weight, except
/// `orthogonality`, which does not depend on the batch.
public struct ReferenceLoss: Hashable, Sendable {
  /// The weighted sum of the parts.
  public var total = 0.0
  /// The squared error of each of the settings' terms, in their order.
  public var errors: [Double] = []
  /// ‖x − x̂‖².
  public var reconstruction = 0.0
  /// ‖x − x̂_high‖².
  public var topLevel = 0.0
  /// JumpReLU's penalties, with their weights.
  public var jump = 0.0
  /// L_ortho.
  public var orthogonality = 0.0
  /// L_sparse = `sparsityTop` + `sparsitySub`.
  public var sparsity = 0.0
  /// The top level's part of L_sparse.
  public var sparsityTop = 0.0
  /// The sublatents' part of L_sparse.
  public var sparsitySub = 0.0
  /// AuxK's term: ‖e − ê‖² over the variance of e about its batch mean, with e = x − x̂; 0 if that is not a
  /// number. Or ‖e − ê‖² times the share of k_aux that is dead (`AuxiliaryScale`). With levels, their sum.
  public var auxiliary = 0.0
}

/// Dead latents of one level of the dictionary and what they explain (AuxK). The gradient treats `target` and
/// `factor` as constants.
public struct ReferenceAuxiliary: Hashable, Sendable {
  /// The dead latents that each row uses, strongest first. Their codes are their pre-activations.
  public var latents: [[Int]]
  /// e = x − x̂, with the latents of this level and of those before it: B × d.
  public var target: [Double]
  /// ê, decoded without the bias: B × d.
  public var reconstruction: [Double]
  /// What the mean of ‖e − ê‖² is multiplied by; 0 if no latent is dead.
  public var factor = 0.0
}

/// A forward pass over a batch of B rows.
public struct ReferenceForward: Sendable {
  /// u = (x − b) Eᵀ + b_enc: B × m.
  public var preActivations: [Double] = []
  /// The active experts of each row, strongest first.
  public var codes: [[ReferenceCode]] = []
  /// With JumpReLU, the experts of each row whose u is within ε/2 of their θ, active or not; the value is u.
  public var windows: [[ReferenceCode]] = []
  /// The reconstruction of each of the settings' terms, bias included: B × d each.
  public var reconstructions: [[Double]] = []
  /// x̂, by both levels: B × d.
  public var reconstruction: [Double] = []
  /// AuxK's parts: one, or one for each of the settings' levels.
  public var auxiliaries: [ReferenceAuxiliary] = []
  /// The loss.
  public var loss = ReferenceLoss()
}

extension ReferenceParameters {
  /// The forward pass and the loss for `rows` [B × d].
  ///
  /// Ties in top-k and argmax go to the lowest index. With a bias, the encoders see x − b, and x̂ and x̂_high
  /// include b. `auxiliaryTargets` [B × d for each part] replace AuxK's targets, so that finite differences can
  /// keep them constant, as the gradient does.
  public func forward(
    _ rows: [Double], _ settings: ReferenceSettings, auxiliaryTargets: [[Double]]? = nil
  ) -> ReferenceForward {
    let (d, m) = (shape.width, shape.experts)
    precondition(rows.count % d == 0, "\(rows.count) numbers do not divide into rows of \(d).")
    precondition(settings.dead.isEmpty || settings.dead.count == m, "There are \(m) latents.")
    let batch = rows.count / d
    let centred = centre(rows)
    var pass = ReferenceForward()
    pass.reconstructions = Array(repeating: [], count: settings.terms.count)
    let x = (0..<batch).map { Array(centred[$0 * d..<($0 + 1) * d]) }
    let u = x.map { x in
      (0..<m).map { latent in
        let bias = encoderBias.isEmpty ? 0 : encoderBias[latent]
        let product = dot(encoder, latent * d, x, 0, d) + bias
        return settings.selection.thresholds?.apply(product, latent: latent) ?? product
      }
    }
    pass.preActivations = u.flatMap(\.self)
    let active = select(u, settings)
    for row in 0..<batch {
      let codes = activeCodes(of: x[row], u[row], active[row], settings)
      pass.codes.append(codes)
      for term in settings.terms.indices {
        pass.reconstructions[term] += decode(codes, settings.terms[term])
      }
      pass.reconstruction += decode(codes, ReconstructionTerm(part: .whole, weight: 1))
      pass.windows.append(
        window(u[row], settings).map { code(of: x[row], $0, u[row][$0], settings) })
    }
    measure(rows, settings, auxiliaryTargets, &pass)
    return pass
  }

  /// x − b, or x without a bias.
  func centre(_ rows: [Double]) -> [Double] {
    bias.isEmpty ? rows : rows.indices.map { rows[$0] - bias[$0 % shape.width] }
  }

  /// The active experts of every row, given the pre-activations u of all rows, strongest first.
  private func select(_ u: [[Double]], _ settings: ReferenceSettings) -> [[Int]] {
    switch settings.selection {
    case .topK, .thresholds:
      return u.map { u in
        let z = u.map(settings.activate)
        return largest(shape.activeExperts, of: z).filter { z[$0] > 0 }
      }
    case .batchTopK(let batchTopK):
      let z = u.flatMap { $0.map(settings.activate) }
      let active = largest(batchTopK.pairs(rows: u.count), of: z).filter { z[$0] > 0 }
      return byRow(active, rows: u.count)
    case .jumpReLU:
      // At most k · B pairs have room, those that exceed their threshold most.
      let excess = u.flatMap { u in u.indices.map { u[$0] - thresholds[$0] } }
      let active = largest(shape.activeExperts * u.count, of: excess).filter { excess[$0] > 0 }
      return byRow(active, rows: u.count).enumerated().map { row, own in
        own.sorted { (u[row][$1], $0) < (u[row][$0], $1) }
      }
    }
  }

  /// Divides places in a B × m matrix into the columns of each row, in their order.
  private func byRow(_ places: [Int], rows: Int) -> [[Int]] {
    var result = [[Int]](repeating: [], count: rows)
    for place in places { result[place / shape.experts].append(place % shape.experts) }
    return result
  }

  /// The latents whose u is within ε/2 of their θ; none without JumpReLU.
  private func window(_ u: [Double], _ settings: ReferenceSettings) -> [Int] {
    guard case .jumpReLU(let jump) = settings.selection else { return [] }
    return u.indices.filter { abs(u[$0] - thresholds[$0]) < jump.bandwidth / 2 }
  }

  /// The codes of the active experts of the row `x` [d], whose pre-activations are `u`, strongest first.
  private func activeCodes(
    of x: [Double], _ u: [Double], _ active: [Int], _ settings: ReferenceSettings
  ) -> [ReferenceCode] {
    let codes = active.map { expert in
      let value = settings.activate(u[expert])
      return code(
        of: x, expert, settings.selection.thresholds?.scale(value, latent: expert) ?? value,
        settings)
    }
    guard settings.selection.thresholds?.codeScale.isEmpty == false else { return codes }
    return codes.filter { $0.value > 0 }
      .sorted { ($1.value, $0.expert) < ($0.value, $1.expert) }
  }

  /// The reconstruction of one row [d] from those of its codes that take part in `term`, bias included.
  private func decode(_ codes: [ReferenceCode], _ term: ReconstructionTerm) -> [Double] {
    let (d, s) = (shape.width, shape.subspace)
    var result = bias.isEmpty ? [Double](repeating: 0, count: d) : bias
    for code in codes where term.includes(code.expert) {
      add(code.value, decoder, code.expert * d, to: &result, 0, d)
      guard term.part.includesSublatents, !shape.isFlat else { continue }
      let atom = (code.expert * shape.sublatents + code.sublatent) * s
      for axis in 0..<s {
        add(
          code.subValue * subDecoder[atom + axis], up, (code.expert * s + axis) * d, to: &result,
          0, d)
      }
    }
    return result
  }

  /// The code of active expert `expert` for the row `x` [d].
  private func code(
    of x: [Double], _ expert: Int, _ value: Double, _ settings: ReferenceSettings
  ) -> ReferenceCode {
    let (d, s, a) = (shape.width, shape.subspace, shape.sublatents)
    let projected = (0..<s).map { dot(down, (expert * s + $0) * d, x, 0, d) }
    let before = (0..<a).map { dot(subEncoder, (expert * a + $0) * s, projected, 0, s) }
    let after = before.map(settings.activateSub)
    let chosen = largest(1, of: after).first
    return ReferenceCode(
      expert: expert, value: value, projected: projected, subPreActivations: before,
      subCodes: after, sublatent: chosen ?? -1, subValue: chosen.map { after[$0] } ?? 0)
  }

  /// Adds the loss and AuxK's part to `pass`.
  private func measure(
    _ rows: [Double], _ settings: ReferenceSettings, _ targets: [[Double]]?,
    _ pass: inout ReferenceForward
  ) {
    let batch = Double(pass.codes.count)
    let d = shape.width
    var loss = ReferenceLoss()
    loss.errors = pass.reconstructions.map { reconstruction in
      pass.codes.indices.reduce(0) { sum, row in
        let error = (row * d..<(row + 1) * d).map { rows[$0] - reconstruction[$0] }
        return sum + dot(error, 0, settings.measured(error), 0, d) / batch
      }
    }
    func error(_ part: ReconstructionTerm.Part) -> Double {
      settings.terms.firstIndex { $0.part == part && $0.experts == nil }
        .map { loss.errors[$0] } ?? 0
    }
    loss.reconstruction = error(.whole)
    loss.topLevel = error(.topLevel)
    for (row, codes) in pass.codes.enumerated() {
      for latent in penalised(row, pass, settings) {
        let u = pass.preActivations[row * shape.experts + latent]
        loss.sparsityTop += abs(settings.activate(u)) / batch
      }
      for code in codes {
        for value in code.subCodes { loss.sparsitySub += abs(value) / batch }
      }
    }
    loss.sparsity = loss.sparsityTop + loss.sparsitySub
    loss.orthogonality = orthogonalityByGram().value
    measureAuxiliary(rows, settings, targets, &pass)
    for part in pass.auxiliaries {
      for (e, explained) in zip(part.target, part.reconstruction) {
        loss.auxiliary += part.factor * square(e - explained) / batch
      }
    }
    loss.jump = jumpPenalty(pass, settings)
    loss.total =
      zip(settings.terms, loss.errors).reduce(0) { $0 + $1.0.weight * $1.1 }
      + settings.orthogonality * loss.orthogonality + settings.sparsity * loss.sparsity
      + settings.auxiliary * loss.auxiliary + loss.jump
    pass.loss = loss
  }

  /// JumpReLU's penalties on the number of active latents and on dead latents, with their weights.
  private func jumpPenalty(_ pass: ReferenceForward, _ settings: ReferenceSettings) -> Double {
    guard case .jumpReLU(let jump) = settings.selection else { return 0 }
    let batch = Double(pass.codes.count)
    var penalty = 0.0
    for row in pass.codes.indices {
      let count = Double(pass.codes[row].count)
      let own = jump.target.map { 2 / $0 * square(count - $0) } ?? count
      penalty += settings.jumpSparsity * own / batch
      for latent in settings.dead.indices where settings.dead[latent] {
        let missing = thresholds[latent] - pass.preActivations[row * shape.experts + latent]
        penalty += settings.jumpDead * max(0, missing) * norm(ofDecoderRow: latent) / batch
      }
    }
    return penalty
  }

  /// ‖d_j‖; 1 in training.
  func norm(ofDecoderRow latent: Int) -> Double {
    dot(decoder, latent * shape.width, decoder, latent * shape.width, shape.width).squareRoot()
  }

  /// The top-level latents that pay the sparsity penalty for row `row`.
  func penalised(
    _ row: Int, _ pass: ReferenceForward, _ settings: ReferenceSettings
  ) -> [Int] {
    let candidates =
      settings.scope == .all ? Array(0..<shape.experts) : pass.codes[row].map(\.expert)
    return candidates.filter {
      pass.preActivations[row * shape.experts + $0] >= settings.threshold
    }
  }

  /// AuxK: lets the dead latents of each level explain what the levels up to it leave over.
  private func measureAuxiliary(
    _ rows: [Double], _ settings: ReferenceSettings, _ targets: [[Double]]?,
    _ pass: inout ReferenceForward
  ) {
    var start = 0
    let ends = settings.auxiliaryLevels.isEmpty ? [shape.experts] : settings.auxiliaryLevels
    for (level, end) in ends.enumerated() {
      let part = ReconstructionTerm(part: .whole, experts: end, weight: 1)
      let target =
        targets?[level]
        ?? zip(rows, pass.codes.flatMap { decode($0, part) }).map { $0 - $1 }
      let dead = settings.dead.indices.filter { settings.dead[$0] && start <= $0 && $0 < end }
      pass.auxiliaries.append(auxiliary(of: dead, target, settings, pass))
      start = end
    }
  }

  /// The part of AuxK that the latents `dead` play. Each row uses its k_aux largest pre-activations among them:
  /// those above 0 if the variance divides the loss (Gao et al.), all of them otherwise (SAELens).
  private func auxiliary(
    of dead: [Int], _ target: [Double], _ settings: ReferenceSettings, _ pass: ReferenceForward
  ) -> ReferenceAuxiliary {
    let (d, m, batch) = (shape.width, shape.experts, pass.codes.count)
    var result = ReferenceAuxiliary(
      latents: Array(repeating: [], count: batch), target: target,
      reconstruction: Array(repeating: 0, count: target.count))
    guard !dead.isEmpty, settings.auxiliaryCount > 0 else { return result }
    for row in 0..<batch {
      let u = dead.map { pass.preActivations[row * m + $0] }
      for index in largest(settings.auxiliaryCount, of: u)
      where u[index] > 0 || settings.auxiliaryScale == .deadShare {
        result.latents[row].append(dead[index])
        add(u[index], decoder, dead[index] * d, to: &result.reconstruction, row * d, d)
      }
    }
    switch settings.auxiliaryScale {
    case .variance:
      let variance = variance(target, rows: batch)
      result.factor = variance > 0 ? 1 / variance : 0
    case .deadShare:
      result.factor = min(1, Double(dead.count) / Double(settings.auxiliaryCount))
    }
    return result
  }

  /// The mean of ‖e − ē‖² over the rows of `values` [rows × d], with ē their mean.
  private func variance(_ values: [Double], rows: Int) -> Double {
    var result = 0.0
    for column in 0..<shape.width {
      let own = (0..<rows).map { values[$0 * shape.width + column] }
      let mean = own.reduce(0) { $0 + $1 / Double(rows) }
      for value in own { result += square(value - mean) / Double(rows) }
    }
    return result
  }
}
