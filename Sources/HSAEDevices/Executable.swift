// A compiled program, and how it is run.

internal import CPJRT
package import HSAESupport

/// A program, compiled for one device. It is kept until the process ends.
@safe
package final class Executable: @unchecked Sendable {
  // Safe: PJRT's objects may be used from any thread, and this one is never released.
  private let handle: OpaquePointer
  private let program: DeviceProgram
  private let plugin: Plugin

  /// The compiled form `handle` of `program`.
  ///
  /// - Safety: `handle` was compiled from that program.
  @unsafe init(_ handle: OpaquePointer, of program: DeviceProgram, on plugin: Plugin) {
    unsafe self.handle = handle
    (self.program, self.plugin) = (program, plugin)
  }

  /// Runs the program and returns its results, which the device may still be computing. Arguments that the program
  /// gives back (`DeviceProgram.donated`) lose their memory to the results, also if it fails.
  package func run(_ arguments: [DeviceArray]) throws(Failure) -> [DeviceArray] {
    precondition(
      arguments.map(\.shape) == program.arguments.map(\.shape),
      "The arguments have other shapes than the program's.")
    let inputs = unsafe arguments.map { unsafe Optional($0.handle) }
    var outputs = unsafe [OpaquePointer?](repeating: nil, count: program.results.count)
    var options = unsafe PJRT_ExecuteOptions()
    unsafe options.struct_size = MemoryLayout<PJRT_ExecuteOptions>.size
    var call = unsafe PJRT_LoadedExecutable_Execute_Args()
    unsafe call.executable = handle
    unsafe call.num_devices = 1
    unsafe call.num_args = inputs.count
    var failure: Failure?
    // Safe: the plugin reads the list of arguments and the options during the call, and writes a handle for each of the
    // program's results.
    unsafe inputs.withUnsafeBufferPointer { inputs in
      unsafe outputs.withUnsafeMutableBufferPointer { outputs in
        unsafe withUnsafeMutablePointer(to: &options) { options in
          unsafe withUnsafePointer(to: inputs.baseAddress) { inputList in
            unsafe withUnsafePointer(to: outputs.baseAddress) { outputList in
              unsafe call.options = options
              unsafe call.argument_lists = inputList
              unsafe call.output_lists = outputList
              do throws(Failure) {
                try unsafe plugin.call(\.LoadedExecutable_Execute, &call, "run the step")
              } catch { failure = error }
            }
          }
        }
      }
    }
    // The handles of donated arguments are still released by their owners.
    withExtendedLifetime(arguments) {}
    var results: [DeviceArray] = []
    for (index, result) in program.results.enumerated() {
      guard let handle = unsafe outputs[index] else { continue }
      unsafe results.append(DeviceArray(handle, result.type, result.shape, on: plugin))
    }
    if let failure { throw failure }
    guard results.count == program.results.count else {
      throw Failure(.unavailable, "\(plugin.path): the plugin gives too few results.")
    }
    return results
  }
}
