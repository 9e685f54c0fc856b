// What the path of a file of Gemma Scope says. Its repositories name the model and the site:
//
//   gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71/params.npz
//   gemma-scope-2-270m-pt/resid_post_all/layer_12_width_16k_l0_small/params.safetensors

import Foundation
import HSAERuns
import HSAESupport

struct GemmaScopePath {
  /// The model's name on the Hub; nil if the path does not name it.
  private(set) var model: String?
  /// The hook point: TransformerLens's name, or "layer 20" if only the block is known. Nil if neither is.
  private(set) var hook: String?
  /// The folder that says that this is no autoencoder, such as "transcoder_all"; nil if there is none.
  private(set) var refused: String?
  /// Whether it is for the embedding matrix.
  private(set) var isEmbedding = false

  /// Sites by the word for them in names of folders, and their hook points in TransformerLens.
  private static let sites = [
    "resid_post": "hook_resid_post", "mlp_out": "hook_mlp_out", "attn_out": "attn.hook_z",
    "res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z",
  ]
  private static let noAutoencoders = ["transcoder", "crosscoder", "clt"]

  /// Reads `path`, which is made absolute first.
  init(_ path: String) {
    let folders = URL(fileURLWithPath: path).standardizedFileURL.path.split(separator: "/")
      .dropLast().map(String.init)
    let layer = folders.lazy.reversed().compactMap(Self.layer).first
    // The folder nearest to the file decides: folders of the user may have any name.
    for folder in folders.reversed() {
      if let word = Self.word(ofSuite: folder) ?? Self.word(ofSite: folder) {
        if let site = Self.sites[word] {
          hook = layer.map { "blocks.\($0).\(site)" }
        } else {
          refused = folder
        }
        break
      }
      if folder == "embedding" {
        (hook, isEmbedding) = ("embedding", true)
        break
      }
    }
    if hook == nil, refused == nil { hook = layer.map { "layer \($0)" } }
    model = folders.lazy.reversed().compactMap(Self.model).first
  }

  /// The number in "layer_20" or "layer_12_width_16k_l0_small".
  private static func layer(_ folder: String) -> Int? {
    guard folder.hasPrefix("layer_") else { return nil }
    let digits = folder.dropFirst(6).prefix { $0.isASCII && $0.isNumber }
    return Int(digits).flatMap { (0..<10_000).contains($0) ? $0 : nil }
  }

  /// The site in the name of one of Gemma Scope 2's folders; a transcoder's name may be part of any folder's.
  private static func word(ofSite folder: String) -> String? {
    let name = folder.hasSuffix("_all") ? String(folder.dropLast(4)) : folder
    if sites[name] != nil, name.contains("_") { return name }
    return noAutoencoders.first { word in
      word == "clt" ? name == word || name.hasPrefix("clt_") : name.lowercased().contains(word)
    }
  }

  /// The words after "gemma-scope-" in the name of a repository, which the Hub's cache spells
  /// models--google--gemma-scope-2b-pt-res.
  private static func suite(_ folder: String) -> [Substring]? {
    guard let range = folder.range(of: "gemma-scope-") else { return nil }
    let words = folder[range.upperBound...].split(separator: "-")
    return words.count >= 2 ? words : nil
  }

  /// The site in the name of one of Gemma Scope's repositories.
  private static func word(ofSuite folder: String) -> String? {
    guard let words = suite(folder), words[0] != "2", words.count >= 3 else { return nil }
    let site = String(words[2])
    return site.hasPrefix("transcoder") || sites[site] != nil ? site : nil
  }

  private static func model(_ folder: String) -> String? {
    guard let words = suite(folder) else { return nil }
    if words[0] == "2" {
      guard words.count >= 3, words[1].last.map({ "bm".contains($0) }) == true else { return nil }
      return hubName("gemma-3-\(words[1])-\(words[2])")
    }
    guard words[0].hasSuffix("b") else { return nil }
    return "google/gemma-2-\(words[0])" + (words[1] == "it" ? "-it" : "")
  }

  /// The Hub's name of the model that Gemma Scope 2 calls `name`. The smallest model has no "-pt" there.
  static func hubName(_ name: String) -> String {
    var hub = name.replacing("gemma-v3", with: "gemma-3")
    if !hub.contains("/") { hub = "google/" + hub }
    if hub.contains("270m"), hub.hasSuffix("-pt") { hub.removeLast(3) }
    return hub
  }
}
