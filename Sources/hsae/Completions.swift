// Shell completions that do not follow from an option's type: names from the catalogues, and files of one kind.

import ArgumentParser
import HSAEEvaluation
import HSAELanguageModels
import HSAESupport

extension CompletionKind {
  /// Models of the catalogue, and GGUF files.
  static var model: CompletionKind { names(ModelCatalogue.models.map(\.name), orFiles: [".gguf"]) }

  /// The same, and `synthetic`.
  static var modelOrSynthetic: CompletionKind {
    names(ModelCatalogue.models.map(\.name) + ["synthetic"], orFiles: [".gguf"])
  }

  /// Corpora of the catalogue, and files of text.
  static var corpus: CompletionKind {
    names(CorpusCatalogue.corpora.map(\.name), orFiles: [".txt", ".jsonl", ".json", ".gz"])
  }

  /// Suites of `hsae evaluate`, also after others and a comma.
  static var suites: CompletionKind {
    .custom { _, _, prefix in
      let begun = prefix.lastIndex(of: ",").map { String(prefix[...$0]) } ?? ""
      let named = begun.split(separator: ",").map(String.init)
      return EvaluationSuites.all.map { $0.name }.filter { !named.contains($0) }.map { begun + $0 }
        .filter { $0.hasPrefix(prefix) }
    }
  }

  /// `names`, files whose names end in one of `endings`, and folders.
  private static func names(_ names: [String], orFiles endings: [String]) -> CompletionKind {
    .custom { _, _, prefix in
      names.filter { $0.hasPrefix(prefix) } + files(beginning: prefix, endings: endings)
    }
  }

  private static func files(beginning prefix: String, endings: [String]) -> [String] {
    let folder = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
    let begun = prefix.dropFirst(folder.count)
    let entries = (try? Path.list(folder.isEmpty ? "." : folder)) ?? []
    return entries.compactMap { entry in
      guard entry.hasPrefix(begun), begun.hasPrefix(".") || !entry.hasPrefix(".") else {
        return nil
      }
      if Path.isDirectory(folder + entry) { return folder + entry + "/" }
      return endings.contains { entry.hasSuffix($0) } ? folder + entry : nil
    }
  }
}
