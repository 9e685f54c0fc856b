// Finds out whether this process was started alone or as one of several, by mpirun or srun, and connects it
// with the others. It also ends all processes when one fails.

internal import Foundation
public import HSAESupport
internal import Synchronization

#if MPI
internal import CMPI
#endif

/// The processes that were started together.
public enum Launch {
  /// The number of processes the launcher announces and the rank of this one; (1, 0) without a launcher.
  public static let announced: (size: Int, rank: Int) = {
    let environment = ProcessInfo.processInfo.environment
    func number(_ name: String) -> Int? { environment[name].flatMap { Int($0) } }
    // The first pair that is set counts, since srun may have started mpirun.
    for (size, rank) in [
      ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "PMI_RANK"),
      ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ] {
      if let size = number(size), let rank = number(rank), (0..<size).contains(rank) {
        return (size, rank)
      }
    }
    return (1, 0)
  }()

  /// Whether the launcher also set what processes need to find one another; srun does so only on request.
  private static let isConnected = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"].contains {
    ProcessInfo.processInfo.environment[$0] != nil
  }

  /// Whether this is the process that prints for all.
  public static var isFirst: Bool { announced.rank == 0 }

  /// Connects all processes that were started together. `work` is the command with the options that decide
  /// what ranks do together; it must be the same for all.
  ///
  /// Fails with `.unavailable` if there are several processes and this program was built without MPI, or they
  /// cannot reach one another; with `.usage` if their `work` differs.
  public static func world(for work: String) throws(Failure) -> any Communicator {
    guard announced.size > 1 else { return SingleProcess() }
    #if MPI
    guard isConnected else { throw unconnected(knowing: 1) }
    let world = try MPICommunicator.world()
    begun.withLock { $0 = true }
    // With the launcher of another MPI, or of another version, every process is alone.
    guard world.size == announced.size else { throw unconnected(knowing: world.size) }
    let program = try world.agree { () throws(Failure) in
      try SHA256.hash(file: CurrentProcess.executable)
    }
    let hosts = world.gathered(ProcessInfo.processInfo.hostName)
    try world.requireAlike(program) { rank, _, _ in
      Failure(
        .unavailable,
        "Rank \(rank) on \(hosts[rank]) runs another build of hsae than rank 0 on \(hosts[0]);"
          + " install the same on all machines.")
    }
    try world.requireAlike(work) { rank, own, first in
      .usage(
        "Rank \(rank) was started for \"\(own)\" and rank 0 for \"\(first)\"; start all for the same."
      )
    }
    return world
    #else
    throw Failure(
      .unavailable,
      "\(announced.size) processes were started together, but this hsae was built without MPI;"
        + " build it with make mpi.")
    #endif
  }

  #if MPI
  private static func unconnected(knowing count: Int) -> Failure {
    // All ranks notice this, so one message is enough.
    AgreedFailures.note(
      Failure(
        .unavailable,
        "The launcher started \(announced.size) processes, and MPI knows of \(count); start them with Open MPI's"
          + " mpirun, or with srun --mpi=pmix."))
  }
  #endif

  /// Fails if several processes were started for a command that runs in one.
  public static func requireOne() throws(Failure) {
    guard announced.size > 1 else { return }
    throw Failure.usage(
      "This command runs in one process, and \(announced.size) were started together; run it without mpirun."
    )
  }

  /// Whether MPI has started; from then on all processes end together.
  public static var hasBegun: Bool { begun.withLock { $0 } }
  private static let begun = Mutex(false)

  /// Leaves MPI, if it has started. All ranks call it last, unless one calls `abort`.
  public static func finish() {
    #if MPI
    if begun.withLock({ $0 }) { hsae_mpi_finish() }
    #endif
  }

  /// Ends all processes with exit code `code`, after a failure of one.
  public static func abort(code: Int32) -> Never {
    #if MPI
    if begun.withLock({ $0 }) { hsae_mpi_abort(code) }
    #endif
    CurrentProcess.end(code)
  }
}
