// hsae export: a run in the layout of another tool. Options and printing; the work is `HSAEInterop`'s.

import ArgumentParser
import HSAEActivations
import HSAEInterop
import HSAELanguageModels
import HSAESupport
import HSAERuns
import HSAETraining
import HSAEModels

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a run as a folder that SAELens opens.",
    discussion: """
      OUT/cfg.json, sae_weights.safetensors and README.md, the layout of SAELens 6 and of the Hugging \
      Face Hub. A flat dictionary is a plain topk SAE. One with sublatents or thresholds has the \
      architecture "hsae": import hsae_saelens.py, which is put into the folder, before SAE.load_from_disk. \
      --top-level leaves the sublatents out; without a threshold SAELens alone can read that. Codes in SAELens are \
      √width times those of hsae, because it scales rows to that norm.
      """)

  @Argument(help: .init("The run.", valueName: "run"), completion: .directory)
  var path: String

  @Option(help: "The folder to write; there must be nothing there.", completion: .directory)
  var out: String

  @Flag(help: "Leave the sublatents out.")
  var topLevel = false

  @Option(
    help: "The store the run is of, for the model's name and the hook point (default: its own).",
    completion: .directory)
  var store: String?

  @Option(
    help: """
      The model's name in other tools, such as google/gemma-3-270m (default: the Hub's for a model of \
      hsae fetch, else the store's).
      """)
  var modelName: String?

  func run() throws {
    let directory = try RunDirectory(path: path)
    let parent = Path.parent(out)
    guard Path.isDirectory(parent) else {
      throw Failure(.cannotCreate, "\(parent): there is no such folder to write \(out) in.")
    }
    let attributes = try attributes(of: directory)
    let known = ModelCatalogue.model(
      sha256: attributes?.modelSHA256,
      orNamed: modelName ?? attributes?.modelName ?? directory.description.origin?.model)
    let export = try SAELensExport(
      directory, attributes: attributes,
      // An imported run keeps the name its files gave the model.
      modelName: modelName ?? (attributes == nil ? nil : known?.hubName),
      modelLicence: known?.licence, topLevelOnly: topLevel, warn: { report("hsae export: \($0)") })
    try export.write(to: out)
    try output(
      "\(out): SAELens architecture \(export.architecture.rawValue),"
        + " \(counted(export.latentCount, "latent"))\n")
  }

  /// What the store says; without one the folder does not name a model.
  private func attributes(of run: RunDirectory) throws(Failure) -> StoreAttributes? {
    let width = run.description.shape.width
    if let store {
      guard let opened = try openRows(path: store, allowIncomplete: true) as? ActivationStore else {
        throw .data("\(store): not an activation store; leave out --store, or name the run's.")
      }
      guard opened.width == width else {
        throw .data(
          "\(store): its rows have the width \(opened.width), and the dictionary of \(run.path) is for"
            + " \(width); name the store it was trained on.")
      }
      return opened.attributes
    }
    guard run.description.knowsRows, let data = run.description.data else { return nil }
    guard Path.isDirectory(data.path),
      let opened = try? openRows(path: data.path, allowIncomplete: true) as? ActivationStore
    else {
      let what = Path.exists(data.path) ? "holds rows and no more" : "is gone"
      report("hsae export: \(data.path) \(what), so cfg.json names no model and no hook.")
      return nil
    }
    return opened.attributes
  }
}
