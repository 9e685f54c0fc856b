// Ctrl-C and SIGTERM: the first one asks the trainer to stop after a checkpoint, the second ends the
// process as usual.

internal import Dispatch
internal import Glibc
internal import Synchronization

/// Watches for SIGINT and SIGTERM while it lives.
public final class Interruption: @unchecked Sendable {
  // Safe: `sources` is written once in `init`; `received` is atomic.
  private let received = Atomic<Int32>(0)
  private let sources: [any DispatchSourceSignal]

  /// Begins to watch. `notify` is called once, on another thread, when the first signal comes.
  public init(notify: @escaping @Sendable () -> Void = {}) {
    let queue = DispatchQueue(label: "hsae.signals")
    sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      return DispatchSource.makeSignalSource(signal: number, queue: queue)
    }
    for (source, number) in zip(sources, [SIGINT, SIGTERM]) {
      source.setEventHandler { [weak self] in
        guard let self else { return }
        if received.compareExchange(expected: 0, desired: number, ordering: .relaxed).exchanged {
          signal(number, SIG_DFL)
          notify()
        }
      }
      source.activate()
    }
  }

  deinit {
    for source in sources { source.cancel() }
    signal(SIGINT, SIG_DFL)
    signal(SIGTERM, SIG_DFL)
  }

  /// The signal received, if any.
  public var signalNumber: Int32? {
    let number = received.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }
}
