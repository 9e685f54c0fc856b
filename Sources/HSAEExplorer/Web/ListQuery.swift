// Lists of latents as addresses ask for them, for pages and the JSON API.

#if Explorer
import HSAESupport

extension LatentQuery {
  /// The largest number of latents in one answer.
  static let largestPage = 1000

  /// The list that `request` asks for: level, sort, desc, min_ and max_ of columns, dead, labelled, list, q,
  /// offset, limit. By default a search, and a list of labelled or listed latents, has both levels; a search has the best match first.
  init(_ request: WebRequest, limit: Int) throws(Failure) {
    self.init()
    if let asked = request.value("q") { text = try SearchQuery.checked(asked) }
    isLabelled = request.value("labelled") == "1"
    list = request.value("list")
    let isChosen = text != nil || isLabelled || list != nil
    switch request.value("level") ?? (isChosen ? "both" : "top") {
    case "top": level = .top
    case "sub": level = .sublatents
    case "both": level = .both
    case let other:
      guard let expert = Int(other) else {
        throw .usage("level=\(other): levels are top, sub, both, or the number of an expert.")
      }
      level = .sublatentsOf(expert)
    }
    let sort = request.value("sort") ?? (text == nil ? Order.score : .match).name
    guard let order = Order.all.first(where: { $0.name == sort }) else {
      let known = Order.all.map(\.name).joined(separator: ", ")
      throw .usage("sort=\(sort): lists are sorted by \(known).")
    }
    self.order = order
    isDescending = (request.value("desc") ?? (order == .number ? "0" : "1")) != "0"
    for column in LatentColumn.sortable {
      for name in column.bounds.map(column.name(of:)) where request.value(name) != nil {
        bounds[name] =
          column.isWhole
          ? Double(try request.number(name, in: 0...Int(Int32.max), or: 0))
          : try request.decimalNumber(name, or: 0)
      }
    }
    includesDead = request.value("dead") == "1"
    offset = try request.number("offset", in: 0...Int(Int32.max), or: 0)
    self.limit = try request.number("limit", in: 1...Self.largestPage, or: limit)
  }
}
#endif
