// A device of a plugin: it compiles programs, takes in arrays and runs. A process has one client for each plugin,
// because a client of a GPU reserves most of its memory.

internal import CPJRT
package import HSAESupport
internal import Synchronization

/// The device that a user chose.
public struct DeviceChoice: Hashable, Sendable {
  /// The plugin's file.
  public var plugin: String
  /// The number of the device among those that the plugin offers.
  public var number: Int

  /// Device `number` of the plugin at the path `plugin`.
  public init(plugin: String, number: Int = 0) { (self.plugin, self.number) = (plugin, number) }
}

/// One device, ready to compile and run programs. It lives until the process ends.
@safe
package final class DeviceClient: @unchecked Sendable {
  let plugin: Plugin
  /// The plugin's name of its platform, such as "cpu" or "cuda".
  package let platform: String
  // Safe: PJRT's objects may be used from any thread, and these are never released.
  private let client: OpaquePointer
  private let device: OpaquePointer
  /// The number of the device among those that the plugin offers.
  private let number: Int
  /// The programs compiled so far, by their text.
  private let compiled = Mutex<[String: Executable]>([:])

  /// The clients of this process.
  private static let clients = Mutex<[DeviceChoice: DeviceClient]>([:])

  /// The client of the chosen device, the same one for each call.
  package static func shared(_ choice: DeviceChoice) throws(Failure) -> DeviceClient {
    try clients.withLock { (known) throws(Failure) -> DeviceClient in
      if let client = known[choice] { return client }
      let client: DeviceClient
      if let other = known.first(where: { $0.key.plugin == choice.plugin })?.value {
        client = try unsafe DeviceClient(other.plugin, other.client, choice.number)
      } else {
        client = try DeviceClient(choice)
      }
      known[choice] = client
      return client
    }
  }

  private convenience init(_ choice: DeviceChoice) throws(Failure) {
    let plugin = try Plugin(path: choice.plugin)
    var arguments = unsafe PJRT_Client_Create_Args()
    try unsafe plugin.call(\.Client_Create, &arguments, "start")
    guard let client = unsafe arguments.client else {
      throw Failure(.unavailable, "\(choice.plugin): the plugin gives no client.")
    }
    try unsafe self.init(plugin, client, choice.number)
  }

  /// The device `number` of `client`.
  private init(_ plugin: Plugin, _ client: OpaquePointer, _ number: Int) throws(Failure) {
    var devices = unsafe PJRT_Client_AddressableDevices_Args()
    unsafe devices.client = client
    try unsafe plugin.call(\.Client_AddressableDevices, &devices, "list its devices")
    let count = unsafe devices.num_devices
    // Safe: the list has `count` elements and lives as long as the client.
    guard number >= 0, number < count, let device = unsafe devices.devices?[number] else {
      throw .usage(
        "--device \(number): the plugin \(plugin.path) has \(count) device\(count == 1 ? "" : "s"), numbered from 0."
      )
    }
    var name = unsafe PJRT_Client_PlatformName_Args()
    unsafe name.client = client
    try unsafe plugin.call(\.Client_PlatformName, &name, "say its name")
    // Safe: the name has that many bytes and lives as long as the client.
    platform = unsafe String(
      decoding: UnsafeRawBufferPointer(start: name.platform_name, count: name.platform_name_size),
      as: UTF8.self)
    (self.plugin, self.number) = (plugin, number)
    unsafe (self.client, self.device) = (client, device)
  }

  /// Compiles `program`, or takes what was compiled of the same text before.
  package func compile(_ program: DeviceProgram) throws(Failure) -> Executable {
    try compiled.withLock { (known) throws(Failure) -> Executable in
      if let executable = known[program.text] { return executable }
      let executable = try unsafe Executable(compileText(program.text), of: program, on: plugin)
      known[program.text] = executable
      return executable
    }
  }

  /// The options of a compilation for this device, a serialised protocol buffer (XLA's CompileOptionsProto): in
  /// executable_build_options (field 3), num_replicas (4) and num_partitions (5) are 1, and device_assignment (9) has the
  /// number of the device as the one replica (1) of the one computation (3).
  private var compileOptions: [UInt8] {
    /// A field that holds `bytes`, fewer than 128.
    func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
      [number << 3 | 2, UInt8(bytes.count)] + bytes
    }
    var (rest, id) = (number, [UInt8]())
    repeat {
      id.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
      rest >>= 7
    } while rest > 0
    let assignment = [0x08, 1, 0x10, 1] + field(3, field(1, id))
    return field(3, [0x20, 1, 0x28, 1] + field(9, assignment))
  }

  private func compileText(_ text: String) throws(Failure) -> OpaquePointer {
    var arguments = unsafe PJRT_Client_Compile_Args()
    unsafe arguments.client = client
    let (code, format, options) = (Array(text.utf8), Array("mlir".utf8), compileOptions)
    var failure: Failure?
    // Safe: the plugin reads the three arrays and the struct during the call only.
    unsafe code.withUnsafeBytes { code in
      unsafe format.withUnsafeBytes { format in
        unsafe options.withUnsafeBytes { options in
          var program = unsafe PJRT_Program()
          unsafe program.struct_size = MemoryLayout<PJRT_Program>.size
          unsafe program.code = code.bindMemory(to: CChar.self).baseAddress
          unsafe program.code_size = code.count
          unsafe program.format = format.bindMemory(to: CChar.self).baseAddress
          unsafe program.format_size = format.count
          unsafe arguments.compile_options = options.bindMemory(to: CChar.self).baseAddress
          unsafe arguments.compile_options_size = options.count
          unsafe withUnsafePointer(to: &program) { program in
            unsafe arguments.program = program
            do throws(Failure) {
              try unsafe plugin.call(\.Client_Compile, &arguments, "compile the step")
            } catch { failure = error }
          }
        }
      }
    }
    if let failure { throw failure }
    guard let executable = unsafe arguments.executable else {
      throw Failure(.unavailable, "\(plugin.path): the plugin compiled nothing.")
    }
    return unsafe executable
  }

  /// A copy of `elements` on the device, as an array of `shape`.
  package func array<Element: DeviceElement>(
    _ elements: [Element], _ shape: [Int]
  ) throws(Failure) -> DeviceArray {
    // Safe: the array has that many elements.
    try unsafe elements.withUnsafeBufferPointer { (buffer) throws(Failure) in
      try unsafe array(from: buffer, shape)
    }
  }

  /// A copy of the elements of `buffer` on the device, as an array of `shape`.
  ///
  /// - Safety: the memory is read until the call returns.
  @unsafe package func array<Element: DeviceElement>(
    from buffer: UnsafeBufferPointer<Element>, _ shape: [Int]
  ) throws(Failure) -> DeviceArray {
    precondition(buffer.count == shape.reduce(1, *), "The elements do not fill \(shape).")
    var arguments = unsafe PJRT_Client_BufferFromHostBuffer_Args()
    unsafe arguments.client = client
    unsafe arguments.device = device
    unsafe arguments.data = UnsafeRawPointer(buffer.baseAddress)
    unsafe arguments.type = Element.deviceType.code
    unsafe arguments.host_buffer_semantics = Int32(CPJRT_UNTIL_TRANSFER_COMPLETES)
    let sides = shape.map(Int64.init)
    var failure: Failure?
    // Safe: the plugin reads the sides during the call.
    unsafe sides.withUnsafeBufferPointer { sides in
      unsafe arguments.dims = sides.baseAddress
      unsafe arguments.num_dims = sides.count
      do throws(Failure) {
        try unsafe plugin.call(\.Client_BufferFromHostBuffer, &arguments, "take in data")
      } catch { failure = error }
    }
    if let failure { throw failure }
    let task = "take in data"
    guard let result = unsafe arguments.buffer else {
      throw Failure(.unavailable, "\(plugin.path): the plugin gives no memory.")
    }
    let array = unsafe DeviceArray(result, Element.deviceType, shape, on: plugin)
    try unsafe plugin.wait(arguments.done_with_host_buffer, task)
    return array
  }
}
