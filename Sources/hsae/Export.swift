// hsae export: writes a run in the layout of SAELens. `HSAEInterop` does the work.

import ArgumentParser
import HSAEActivations
import HSAEEvaluation
import HSAEInterop
import HSAELanguageModels
import HSAEModels
import HSAERuns
import HSAESupport

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a run as a folder that SAELens opens.",
    discussion: """
      Writes OUT/cfg.json, sae_weights.safetensors and README.md, the layout of SAELens 6 and of the \
      Hugging Face Hub. A flat dictionary becomes a topk SAE of SAELens, or a jumprelu SAE if it was trained \
      with BatchTopK or JumpReLU. One with sublatents, or with k and a threshold, gets the architecture \
      "hsae": import hsae_saelens.py, a file in the folder, before SAE.load_from_disk. --top-level leaves \
      the sublatents out. For a run on rows of unit norm, codes in SAELens are √width times those of hsae, \
      because SAELens scales rows to that norm.
      """)

  @Argument(help: .init("The run.", valueName: "run"), completion: .directory)
  var path: String

  @Option(help: "The folder to write; there must be nothing there.", completion: .directory)
  var out: String

  @Flag(help: "Leave the sublatents out.")
  var topLevel = false

  @Option(
    help: """
      The store to take the model's name and the hook point from, where neither the run nor the files it \
      was imported from record them.
      """, completion: .directory)
  var store: String?

  @Option(
    help: """
      The model's name in other tools, such as google/gemma-3-270m (default: its name on the Hub if \
      hsae fetch knows the model, else the one that the run's store or files record).
      """)
  var modelName: String?

  func run() throws {
    let directory = try RunDirectory(path: path)
    try Path.requireParent(of: out)
    let attributes = try attributes(of: directory)
    // An imported run keeps the model's name from its files.
    let imported = directory.description.origin?.model
    let known = ModelCatalogue.model(
      sha256: imported == nil ? attributes?.modelSHA256 : nil,
      orNamed: modelName ?? imported ?? attributes?.modelName)
    let export = try SAELensExport(
      directory, attributes: attributes,
      modelName: modelName ?? (imported == nil && attributes != nil ? known?.hubName : nil),
      modelLicence: known?.licence, topLevelOnly: topLevel, warn: { report("hsae export: \($0)") })
    try export.write(to: out)
    for note in export.notes { report("hsae export: \(note)") }
    try output(
      "\(out): SAELens architecture \(export.architecture.rawValue),"
        + " \(counted(export.latentCount, "latent"))\n")
  }

  /// The attributes of the store that the run was trained on, or else of the given store; nil if there is neither, and
  /// then the folder names no model.
  private func attributes(of run: RunDirectory) throws(Failure) -> StoreAttributes? {
    let own = try RunDirectory.storeAttributes(of: run.path)
    let data = run.description.data
    let opened: ActivationStore?
    if let store {
      opened = try named(store, for: run)
    } else if run.description.knowsRows, let data {
      opened = (try? openStore(path: data.path, allowIncomplete: true)) ?? nil
      if opened == nil, own == nil {
        let what = Path.exists(data.path) ? "is not an activation store" : "is gone"
        report("hsae export: \(data.path) \(what), so cfg.json names no model and no hook point.")
      }
    } else {
      opened = nil
    }
    guard var attributes = own ?? opened?.attributes else { return nil }
    // Older stores do not record it, so their tokens decide. The tokens of another store say nothing about the run.
    if let opened, own == nil || opened.fingerprint == data?.fingerprint {
      attributes.collection?.beginsWithBOS = try opened.beginsWithBOS()
    }
    return attributes
  }

  /// The store that --store names; a note says how it differs from the run's own.
  private func named(_ store: String, for run: RunDirectory) throws(Failure) -> ActivationStore {
    let width = run.description.shape.width
    guard let opened = try openStore(path: store, allowIncomplete: true) else {
      throw .data(
        "\(store): this is not an activation store; leave out --store, or name the run's.")
    }
    guard opened.width == width else {
      throw .data(
        "\(store): its rows have the width \(opened.width), and the dictionary of \(run.path) is for"
          + " \(width); name the store it was trained on.")
    }
    let place = try RowsPlace(opened)
    if let note = try place?.difference(from: run.description, of: run.path) {
      report("hsae export: note: \(note)")
    }
    return opened
  }
}
