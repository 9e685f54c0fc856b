// Compares what is known of a dictionary's own rows with the rows or the model that it is joined with: the model, the
// hook point, BOS. Every command that joins them notes differences once, and refuses
// rows that the dictionary cannot be for.

public import HSAEActivations
public import HSAELanguageModels
public import HSAERuns
public import HSAESupport

/// What is known of rows: where in which model they were read, and how.
public struct RowsPlace: Sendable {
  /// The rows' name in messages.
  public var name: String
  /// The model's name.
  public var modelName: String?
  /// SHA-256 of the model's file.
  public var modelSHA256: String?
  /// Whether they are rows of the model's vocabulary and not of its residual stream.
  public var isVocabulary = false
  /// The block whose output they are, counting from 0.
  public var block: Int?
  /// Whether contexts begin with BOS; nil if that is not known.
  public var beginsWithBOS: Bool?

  /// A place of the given parts.
  public init(
    name: String, modelName: String?, modelSHA256: String?, isVocabulary: Bool = false,
    block: Int?, beginsWithBOS: Bool?
  ) {
    (self.name, self.modelName, self.modelSHA256) = (name, modelName, modelSHA256)
    (self.isVocabulary, self.block, self.beginsWithBOS) = (isVocabulary, block, beginsWithBOS)
  }

  /// The place of the rows of `source`; nil if it is a matrix, of which nothing is known.
  public init?(_ source: any RowSource) throws(Failure) {
    guard let store = source as? ActivationStore else { return nil }
    self.init(store.attributes, name: Path.name(Path.trimmed(store.path)))
    beginsWithBOS = try store.beginsWithBOS()
  }

  /// The place of the rows of a store with these attributes.
  public init(_ attributes: StoreAttributes, name: String) {
    self.init(
      name: name, modelName: attributes.modelName, modelSHA256: attributes.modelSHA256,
      isVocabulary: attributes.kind == .unembedding, block: attributes.layer,
      beginsWithBOS: attributes.collection?.beginsWithBOS)
  }

  /// The place of rows that `model` computes after block `block`, in contexts that begin with `prefix`.
  public init(_ model: any ResidualStreamModel, block: Int, prefix: [Int32]) {
    let description = model.description
    self.init(
      name: description.name, modelName: description.name, modelSHA256: description.sha256,
      block: block, beginsWithBOS: !prefix.isEmpty)
  }

  private var point: String {
    isVocabulary ? "the vocabulary" : block.map(ModelDescription.hookPoint(afterBlock:)) ?? "?"
  }

  /// Whether the model may be the one that other tools call `name`.
  private func isOfModel(_ name: String) -> Bool {
    let known = ModelCatalogue.model(sha256: modelSHA256, orNamed: modelName)
    // A name with an owner is the hub's, where hsae's short name may be that of another model.
    let short = name.contains("/") ? nil : known?.name
    let names = [modelName, short, known?.hubName].compactMap(\.self)
    return names.isEmpty || names.contains { Self.plain($0) == Self.plain(name) }
  }

  /// A model's name without owner, case and punctuation: "google/gemma-2-2b" and "Gemma 2 2b" are alike.
  private static func plain(_ name: String) -> String {
    let last = name.split(separator: "/").last ?? ""
    let plain = last.lowercased().filter { $0.isLetter || $0.isNumber }
    // TransformerLens's name.
    return plain == "gpt2small" ? "gpt2" : plain
  }
}

extension RowsPlace {
  /// How these rows differ from those that the dictionary of the run at `run` is for, as a sentence; nil if they do
  /// not, as far as that is known. A hook point that hsae does not know is a difference, because nothing says whether the
  /// rows are right.
  ///
  /// Fails with `.data` if the dictionary cannot be for such rows: it is for another hook point than a block's
  /// output.
  public func difference(
    from description: RunDescription, of run: String
  ) throws(Failure) -> String? {
    guard let origin = description.origin else {
      guard let own = try RunDirectory.storeAttributes(of: run) else { return nil }
      return difference(fromOwn: RowsPlace(own, name: ""), run)
    }
    var (theirs, ours): ([String], [String]) = ([], [])
    if let model = origin.model, let modelName, !isOfModel(model) {
      theirs.append(model)
      ours.append(modelName)
    }
    var clauses: [String] = []
    if let hook = origin.hook {
      switch HookPlace(hook) {
      case nil:
        clauses.append(
          "hook point \(hook.spelledPlainly) is not one that hsae knows; make sure that \(name) has its rows"
        )
      case .vocabulary where isVocabulary: break
      case .output(let other) where !isVocabulary:
        guard let block, block != other else { break }
        theirs.append(hook)
        ours.append(point)
      case .output, .vocabulary, .other:
        let what = isVocabulary ? "rows of a vocabulary" : "outputs of blocks"
        throw .data(
          "\(run): its dictionary is for \(hook.spelledPlainly), and \(name) has \(what), which are other rows;"
            + " use rows of that hook point.")
      }
    }
    if !isVocabulary, let own = origin.prependsBOS, let beginsWithBOS, own != beginsWithBOS {
      theirs.append(Self.contexts(own))
      ours.append(Self.contexts(beginsWithBOS))
    }
    let changes = origin.modelChanges
    if !changes.isEmpty {
      clauses.append(
        "its model was loaded with \(changes.joined(separator: ", ").spelledPlainly), unlike that of \(name)"
      )
    }
    return Self.sentence(run, theirs, name, ours, clauses)
  }

  /// The same for a run that was trained here, on the rows `own`.
  private func difference(fromOwn own: RowsPlace, _ run: String) -> String? {
    var (theirs, ours): ([String], [String]) = ([], [])
    if own.modelSHA256 != modelSHA256 {
      theirs.append(own.modelName ?? "another model")
      ours.append(modelName == own.modelName ? "another file of it" : modelName ?? "another model")
    }
    if own.point != point {
      theirs.append(own.point)
      ours.append(point)
    }
    if let before = own.beginsWithBOS, let beginsWithBOS, before != beginsWithBOS {
      theirs.append(Self.contexts(before))
      ours.append(Self.contexts(beginsWithBOS))
    }
    return Self.sentence(run, theirs, name, ours)
  }

  private static func contexts(_ beginWithBOS: Bool) -> String {
    "contexts \(beginWithBOS ? "with" : "without") BOS"
  }

  private static func sentence(
    _ run: String, _ theirs: [String], _ name: String, _ ours: [String], _ clauses: [String] = []
  ) -> String? {
    var clauses = clauses
    func list(_ parts: [String]) -> String {
      parts.map(\.spelledPlainly).joined(separator: ", ")
    }
    if !theirs.isEmpty {
      clauses.insert(
        "its dictionary is for \(list(theirs)), and \(name) is of \(list(ours))", at: 0)
    }
    return clauses.isEmpty ? nil : "\(run): \(clauses.joined(separator: "; "))."
  }
}

extension LoadedRun {
  /// How the rows at `place` differ from those that the dictionary is for (`RowsPlace.difference`).
  public func difference(from place: RowsPlace?) throws(Failure) -> String? {
    try place?.difference(from: description, of: path)
  }

  /// The block whose output the dictionary is for, as the run or the files it was imported from record it; nil if they
  /// record none.
  public func block() throws(Failure) -> Int? {
    guard let origin = description.origin else {
      return try RunDirectory.storeAttributes(of: path)?.layer
    }
    guard case .output(let block)? = origin.hook.flatMap(HookPlace.init) else { return nil }
    return block
  }
}

extension String {
  /// The text on one line, at most 80 characters, without control characters: it comes from a file.
  fileprivate var spelledPlainly: String {
    String(prefix(80).map { $0.isNewline || $0.asciiValue.map { $0 < 32 } ?? false ? " " : $0 })
  }
}

/// A hook point that other tools name, as far as hsae knows it.
enum HookPlace: Hashable {
  /// The output of a block, counting from 0: the residual stream.
  case output(Int)
  /// Rows of the unembedding.
  case vocabulary
  /// A place whose rows hsae never collects, such as the output of an MLP.
  case other

  /// The place that `name` means, TransformerLens's name or a module's; nil if that is not certain.
  init?(_ name: String) {
    if name == "unembedding" {
      self = .vocabulary
      return
    }
    let words = name.split(separator: " ")
    if words.count == 2, words[0] == "layer", let block = Int(words[1]), block >= 0 {
      self = .output(block)
      return
    }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    let start = parts.firstIndex { ["blocks", "layers", "h"].contains($0) }
    guard let start, start + 1 < parts.count, let block = Int(parts[start + 1]), block >= 0 else {
      guard let last = parts.last, last.hasPrefix("hook_") else { return nil }
      self = .other
      return
    }
    let rest = parts[(start + 2)...]
    switch (parts[start], rest.joined(separator: ".")) {
    case ("blocks", "hook_resid_post"), ("layers", ""), ("layers", "output"), ("h", ""),
      ("h", "output"):
      self = .output(block)
    case ("blocks", "hook_resid_pre"): self = block > 0 ? .output(block - 1) : .other
    case ("blocks", _) where rest.last?.hasPrefix("hook_") == true: self = .other
    case (_, let inside)
    where inside.contains("mlp") || inside.contains("attn")
      || inside.contains("attention"):
      self = .other
    default: return nil
    }
  }
}
