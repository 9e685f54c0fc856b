// What templates are filled with. Only `Markup`, flags and lists of these can be put into a view, so
// a template may use triple braces everywhere and nothing unescaped gets through.

import HSAEHTML
import HSAESupport
import Mustache

/// A value a template can show.
enum View {
  case markup(Markup)
  case flag(Bool)
  case list([[String: View]])
  case object([String: View])

  /// The value as swift-mustache wants it.
  var value: Any {
    switch self {
    case .markup(let markup): markup.html
    case .flag(let flag): flag
    case .list(let items): items.map { $0.mapValues(\.value) }
    case .object(let object): object.mapValues(\.value)
    }
  }
}

extension View: ExpressibleByStringInterpolation, ExpressibleByBooleanLiteral {
  init(stringLiteral value: String) { self = .markup(Markup(stringLiteral: value)) }
  init(stringInterpolation: Markup.StringInterpolation) {
    self = .markup(Markup(stringInterpolation: stringInterpolation))
  }
  init(booleanLiteral value: Bool) { self = .flag(value) }
}

/// The templates of a page, parsed once, each under the name others include it by.
struct Templates {
  private let library: MustacheLibrary

  /// Parses `sources`. A template that does not parse is a fault of this program.
  init(_ sources: [String: String]) throws(Failure) {
    var library = MustacheLibrary()
    for (name, source) in sources.sorted(by: { $0.key < $1.key }) {
      do {
        library.register(try MustacheTemplate(string: source), named: name)
      } catch {
        throw Failure(.software, "The page template \"\(name)\" does not parse: \(error)")
      }
    }
    self.library = library
  }

  /// Template `name` filled with `view`.
  func render(_ name: String, _ view: [String: View]) throws(Failure) -> Markup {
    guard let html = library.render(view.mapValues(\.value), withTemplate: name) else {
      throw Failure(.software, "There is no page template named \"\(name)\".")
    }
    return Markup(trusted: html)
  }
}
