// hsae explore: pages over what hsae explain wrote. Options, and the life of the server; the pages are
// `HSAEExplorer`'s.

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
    abstract: "Walk through what was found: pages on this machine.",
    discussion: """
      Serves the database that hsae explain wrote, on 127.0.0.1: an overview of each run, lists of latents \
      to sort and search, a page for each latent with its contexts and its sublatents inside it, two runs \
      compared, any text you type taken apart into latents, and what the model writes while one of them is \
      made stronger. Your labels are kept in the database.

      Taking text apart and steering need the model the runs are of; it is found in the cache if hsae fetch or hsae \
      collect put it there, and loaded when the first text comes. The JSON API under /api/v1 gives all \
      of it to programs (/api/v1/openapi.json describes it). Ctrl-C ends it.
      """)

  @Argument(
    help: ArgumentHelp("What hsae explain wrote.", valueName: "features"), completion: .directory)
  var folder: String

  @Option(
    help: "The language model, to take text apart and to steer: a name or a GGUF file.",
    completion: .model)
  var model: String?

  @Option(help: "The port; 0 takes a free one.")
  var port: UInt16 = 8471

  @Option(help: "The address to listen at. Others than 127.0.0.1 let other machines in.")
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
      report("hsae: \(run.name) is incomplete; hsae explain goes on with it.")
    }
    let address = address == "localhost" ? "127.0.0.1" : address
    let isLoopback = address.hasPrefix("127.")
    if !isLoopback {
      report(
        "hsae: everyone who reaches \(address) can read this and write labels; there is no password."
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

  /// What takes texts apart and steers; nil if no model was named and none that fits is in the cache.
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
    return Dissector(threads: threads) { () throws(Failure) in
      try LlamaModel(path: path, contextLength: Dissector.contextLength, threads: threads)
    }
  }
}
#endif
