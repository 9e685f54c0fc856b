// hsae explore: serves pages of the database that hsae explain wrote. `HSAEExplorer` makes the pages; this file
// has the options and starts and stops the server.

#if Explorer
import ArgumentParser
import Foundation
import HSAEExplorer
import HSAELanguageModels
import HSAESupport
import HSAETensors
import Synchronization

struct Explore: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Browse explained latents in a web browser.",
    discussion: """
      Serves the database that hsae explain wrote, on 127.0.0.1: an overview of each run, lists of latents \
      to sort and search, a page for each latent with its contexts and sublatents, a comparison of two runs, \
      the latents of any text you type, and what the model writes while a latent is made stronger. Your \
      labels and lists are kept in the database.

      Reading your text and steering need the model of the runs. It is found in the cache if hsae \
      fetch or hsae collect put it there, and loaded when the first text comes. Programs can use the JSON \
      API under /api/v1 (/api/v1/openapi.json describes it). Ctrl-C ends the server.
      """)

  @Argument(
    help: ArgumentHelp("A folder that hsae explain wrote.", valueName: "features"),
    completion: .directory)
  var folder: String

  @Option(
    help: "The language model, to read your text and to steer: a name or a GGUF file.",
    completion: .model)
  var model: String?

  @Option(help: "The port; 0 takes a free one.")
  var port: UInt16 = 8471

  @Option(help: "The address to listen on. Any other than 127.0.0.1 lets other machines in.")
  var address = "127.0.0.1"

  @OptionGroup var threading: ThreadsOption

  func run() throws {
    let database = try FeatureDatabase(path: folder)
    try database.prepare()
    let runs = try database.runs()
    guard !runs.isEmpty else {
      throw Failure.data("\(database.path): there is no run in it yet; run hsae explain.")
    }
    for run in runs where !run.isComplete {
      report("hsae: \(run.name) is incomplete; run hsae explain again to complete it.")
    }
    for run in runs {
      if let note = run.difference { report("hsae explore: note: \(note)") }
    }
    let address = address == "localhost" ? "127.0.0.1" : address
    let isLoopback = address.hasPrefix("127.")
    if !isLoopback {
      report(
        "hsae: everyone who can reach \(address) can read this and write labels; there is no password."
      )
    }
    let explorer = Explorer(
      database: database, dissector: try dissector(for: runs),
      hosts: isLoopback ? Explorer.loopbackHosts.union([address]) : [])
    let server = try ExplorerServer(explorer: explorer, address: address, port: port)
    let shown = isLoopback ? "localhost" : address
    try untilInterrupted { () async throws(Failure) in
      try await server.run { port in
        report("hsae explore: \(runs.map(\.name).joined(separator: ", ")). Ctrl-C ends it. Open")
        try? output("http://\(shown):\(port)/\n")
      }
    }
  }

  /// Runs `body` until it ends, or SIGINT or SIGTERM cancels it.
  private func untilInterrupted(
    _ body: @escaping @Sendable () async throws(Failure) -> Void
  ) throws(Failure) {
    let ended = DispatchSemaphore(value: 0)
    let failure = Mutex<Failure?>(nil)
    let task = Task {
      do throws(Failure) { try await body() } catch { failure.withLock { $0 = error } }
      ended.signal()
    }
    let sources = [SIGINT, SIGTERM].map { number in
      CurrentProcess.ignore(signal: number)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { task.cancel() }
      source.resume()
      return source
    }
    ended.wait()
    for source in sources { source.cancel() }
    if let failure = failure.withLock({ $0 }) { throw failure }
  }

  /// Reads texts and steers; nil if no model was named and none that fits is in the cache.
  private func dissector(for runs: [RunRecord]) throws -> Dissector? {
    let path: String
    if let model {
      path = try ModelFetcher(say: { report("hsae explore: \($0)") }).resolve(model)
    } else {
      let found = runs.lazy.compactMap(\.modelSHA256).compactMap(ModelCache().path(ofModel:)).first
      guard let found else { return nil }
      path = found
    }
    let threads = threading.count
    return Dissector(
      threads: threads,
      unembedding: { () throws(Failure) in try StoredUnembedding(GGUFFile(path: path)) }
    ) { () throws(Failure) in
      try LlamaModel(path: path, contextLength: Dissector.contextLength, threads: threads)
    }
  }
}
#endif
