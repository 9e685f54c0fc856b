// Plugins that are none, too old, or without the device that was asked for.

import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEDevices

@Suite struct PluginTests {
  private func failure(_ path: String, _ number: Int = 0) -> Failure? {
    do {
      _ = try DeviceClient.shared(DeviceChoice(plugin: path, number: number))
      return nil
    } catch { return error }
  }

  @Test func aFileThatIsNotAPluginIsRefused() throws {
    try withTemporaryFolder { folder in
      let missing = failure(Path.join(folder, "none.so"))
      #expect(missing?.kind == .missing)
      let text = Path.join(folder, "text.so")
      try DurableFile.write("This is a text.\n", to: text)
      let notALibrary = failure(text)
      #expect(notALibrary?.kind == .unavailable)
      #expect(notALibrary?.message.contains("cannot be loaded") == true)
    }
    let other = failure("/lib/x86_64-linux-gnu/libm.so.6")
    #expect(other?.kind == .data)
    #expect(other?.message.contains("GetPjrtApi") == true)
  }

  @Test func versionsAreChecked() {
    #expect(Plugin.complaint(major: 0, minor: 81, size: 10_000) == nil)
    #expect(Plugin.complaint(major: 0, minor: 116, size: 10_000) == nil)
    #expect(Plugin.complaint(major: 0, minor: 80, size: 10_000)?.contains("newer plugin") == true)
    #expect(Plugin.complaint(major: 1, minor: 0, size: 10_000)?.contains("PJRT 1.0") == true)
    #expect(Plugin.complaint(major: 0, minor: 81, size: 400)?.contains("too short") == true)
  }

  @Test func errorsOfADeviceAreSentences() {
    let memory = Plugin.failure(code: 8, text: "Out of memory.\nMore.", task: "run the step")
    #expect(memory.message.contains("too little memory: Out of memory; choose a smaller --batch"))
    let other = Plugin.failure(code: 13, text: "it broke", task: "run the step")
    #expect(other.message == "The device cannot run the step: it broke (PJRT error 13).")
    #expect(Plugin.failure(code: 2, text: "", task: "start").message.contains("no reason given"))
  }

  @Test(.enabled(if: devicePlugin != nil, Comment(rawValue: needsPlugin)))
  func aDeviceThatIsNotThereIsRefused() {
    let failure = failure(devicePlugin ?? "", 7)
    #expect(failure?.kind == .usage)
    #expect(failure?.message.contains("--device 7") == true)
  }
}
