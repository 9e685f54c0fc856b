// A PJRT plugin: the shared library that compiles and runs programs on one kind of device. It is loaded while the
// program runs. Its version is checked, and its errors become `Failure`.

internal import CPJRT
internal import HSAESupport
internal import Synchronization

/// The table of functions of one plugin.
@safe
final class Plugin: @unchecked Sendable {
  /// The oldest minor version of PJRT 0 whose layout this program knows.
  static let oldestMinor = 81

  let path: String
  // Safe: the table is constant and lives as long as the library, which is never unloaded. PJRT's functions may be
  // called from any thread.
  private let api: UnsafePointer<PJRT_Api>

  /// Loads and initialises the plugin at `path`.
  init(path: String) throws(Failure) {
    let library = try DynamicLibrary(path: path)
    // Safe: a library with a function of this name is a PJRT plugin, and this is its type in every version.
    let entry = unsafe library.symbol("GetPjrtApi").map {
      unsafe unsafeBitCast($0, to: CPJRT_Entry.self)
    }
    guard let entry = unsafe entry, let api = unsafe entry() else {
      throw .data(
        "\(path) is not a PJRT plugin: it does not export GetPjrtApi; name another --plugin.")
    }
    // Safe: every version begins with its size and its version. The other slots are read after the check.
    let version = unsafe api.pointee.version
    let complaint = unsafe Self.complaint(
      major: Int(version.major_version), minor: Int(version.minor_version),
      size: api.pointee.struct_size)
    if let complaint { throw Failure(.unavailable, "\(path): \(complaint)") }
    self.path = path
    unsafe self.api = api
    var arguments = unsafe PJRT_Plugin_Initialize_Args()
    try unsafe call(\.Plugin_Initialize, &arguments, "start")
  }

  /// Why a plugin of this version, with a table of `size` bytes, cannot be used; nil if it can.
  static func complaint(major: Int, minor: Int, size: Int) -> String? {
    if major != 0 || minor < oldestMinor {
      return
        "the plugin has PJRT \(major).\(minor), and hsae needs PJRT 0.\(oldestMinor) or a newer 0.x;"
        + " get a newer plugin."
    }
    if unsafe size < MemoryLayout<PJRT_Api>.size {
      return "the plugin's table of functions is too short (\(size) bytes); get a newer plugin."
    }
    return nil
  }

  /// Calls the function in `slot` with `arguments`, an argument struct of PJRT. `task` completes the sentence "the
  /// device cannot …" if it fails.
  func call<Arguments>(
    _ slot: KeyPath<PJRT_Api, CPJRT_Function?>, _ arguments: inout Arguments, _ task: String
  ) throws(Failure) {
    // Safe: the slot is inside the table, whose size was checked, and the caller passes this slot's struct, which
    // begins with its size.
    guard let function = unsafe api.pointee[keyPath: slot] else {
      throw Failure(
        .unavailable,
        "\(path): the plugin lacks a function that training needs; get another plugin.")
    }
    let error = unsafe withUnsafeMutableBytes(of: &arguments) { bytes -> OpaquePointer? in
      guard let base = bytes.baseAddress else { return nil }
      unsafe bytes.storeBytes(of: bytes.count, as: Int.self)
      return unsafe function(base)
    }
    if let error = unsafe error { throw unsafe failure(error, task) }
  }

  /// Waits for `event` and releases it.
  func wait(_ event: OpaquePointer?, _ task: String) throws(Failure) {
    guard let event = unsafe event else { return }
    var arguments = unsafe PJRT_Event_Args()
    unsafe arguments.event = event
    defer {
      // An event that cannot be released only keeps a few bytes.
      try? unsafe call(\.Event_Destroy, &arguments, "release an event")
    }
    try unsafe call(\.Event_Await, &arguments, task)
  }

  /// The failure that `error` describes; releases it.
  private func failure(_ error: OpaquePointer, _ task: String) -> Failure {
    var code = unsafe PJRT_Error_GetCode_Args()
    unsafe code.error = error
    // If the error has no code, its text still says what happened.
    try? unsafe call(\.Error_GetCode, &code, "describe an error")
    var message = unsafe PJRT_Error_Message_Args()
    unsafe message.error = error
    unsafe callVoid(\.Error_Message, &message)
    // Safe: the text has `message_size` bytes and lives as long as the error.
    let text = unsafe String(
      decoding: UnsafeRawBufferPointer(start: message.message, count: message.message_size),
      as: UTF8.self)
    var release = unsafe PJRT_Error_Destroy_Args()
    unsafe release.error = error
    unsafe callVoid(\.Error_Destroy, &release)
    return Self.failure(code: unsafe Int(code.code), text: text, task: task)
  }

  /// A failure with PJRT's error `code` and the plugin's own words.
  static func failure(code: Int, text: String, task: String) -> Failure {
    let line = text.split(separator: "\n").first.map { String($0.prefix(300)) } ?? "no reason given"
    let reason = line.hasSuffix(".") ? String(line.dropLast()) : line
    if code == CPJRT_RESOURCE_EXHAUSTED {
      return Failure(
        .unavailable,
        "The device has too little memory: \(reason); choose a smaller --batch or fewer --experts.")
    }
    return Failure(.unavailable, "The device cannot \(task): \(reason) (PJRT error \(code)).")
  }

  private func callVoid<Arguments>(
    _ slot: KeyPath<PJRT_Api, CPJRT_Void_Function?>, _ arguments: inout Arguments
  ) {
    // Safe: as in `call`.
    guard let function = unsafe api.pointee[keyPath: slot] else { return }
    unsafe withUnsafeMutableBytes(of: &arguments) { bytes in
      guard let base = bytes.baseAddress else { return }
      unsafe bytes.storeBytes(of: bytes.count, as: Int.self)
      unsafe function(base)
    }
  }
}
