// A database as hsae wrote it before its schema had migrations (version 1): the old SQL and a few rows.

#if Explorer
import GRDB
import HSAESupport

@testable import HSAEExplorer

enum OldDatabase {
  /// Writes the database `path`: two experts with a sublatent each, explained on one document.
  static func write(_ path: String) throws {
    let queue = try DatabaseQueue(path: path)
    try queue.write { db in
      try db.execute(sql: schema + rows)
      try db.execute(
        sql: "INSERT INTO passage VALUES (1, 1, 0, ?)",
        arguments: [Blob.tokens([0, 1, 2, 3, 0, 3])])
      let contexts = [
        LatentContext(place: 1, value: 2, neighbours: [.init(offset: -1, value: 0.5)]),
        LatentContext(place: 1, value: 2, group: 1),
      ]
      let related = [RelatedLatent(number: 2, value: 0.25)]
      try db.execute(
        sql: "INSERT INTO evidence VALUES (?, ?, ?, ?)",
        arguments: [
          1 << 32, Blob.integers([1] + Array(repeating: 0, count: 31)), Blob.contexts(contexts),
          Blob.related(related),
        ])
      try db.execute(
        sql: "INSERT INTO nearest VALUES (?, ?)", arguments: [1 << 32, Blob.related(related)])
      var effects = PromotedTokens()
      effects.promoted = [TokenEffect(token: 3, value: 1)]
      try db.execute(
        sql: "INSERT INTO promoted VALUES (?, ?)", arguments: [1 << 32, Blob.effects([effects])])
      try db.execute(
        sql: "INSERT INTO posting VALUES (?, ?)", arguments: [1 << 32 | 1, Blob.integers([1, 0])])
    }
  }

  private static let rows = """
    INSERT INTO meta VALUES ('complete', '1');
    INSERT INTO corpus VALUES
      (1, 'f', 'text', 'layer.store', 'tiny', 'abc', 'blk.1', 1, 6);
    INSERT INTO token VALUES (1, 0, '▁dog'), (1, 1, '▁puppy'), (1, 2, 's'), (1, 3, '▁cat');
    INSERT INTO document VALUES (1, 0, 6, 0, 'Pets', 'en', NULL);
    INSERT INTO passage_text (rowid, text) VALUES (1, ' dog puppys cat dog cat');
    INSERT INTO run VALUES
      (1, 'old', 'runs/old', 10, 1, '{}', '{}', 4, 2, 1, 2, 1, 0.1, 6, 2, 1, 1);
    INSERT INTO latent VALUES
      (4294967296, 1, 0, -1, 3, 3, 2, 1, 0, 1, 1, 0.5, '▁dog' || char(10) || '▁puppys'),
      (4294967297, 1, 0, 0, 1, 2, 0.5, 0.5, 1, 0.5, 0, NULL, '▁puppys'),
      (4294967298, 1, 1, -1, 2, 2, 3, 1.5, 0, 1, 0, 0, '▁cat'),
      (4294967299, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, NULL, '');
    INSERT INTO latent_text (rowid, words, promoted) VALUES
      (4294967296, '▁dog' || char(10) || '▁puppys', ' cat'), (4294967297, '▁puppys', ''),
      (4294967298, '▁cat', '');
    INSERT INTO label VALUES (4294967298, 'felines', 1700000000);
    INSERT INTO label_text (rowid, text) VALUES (4294967298, 'felines');
    """

  private static let schema = """
    PRAGMA application_id = 1213415749;
    PRAGMA user_version = 1;
    CREATE TABLE meta (
    key TEXT PRIMARY KEY, value TEXT NOT NULL
    );
    CREATE TABLE corpus (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL,
    model_name TEXT, model_sha256 TEXT, hook_point TEXT, layer INTEGER, tokens INTEGER NOT NULL
    );
    CREATE TABLE token (
    corpus INTEGER NOT NULL, id INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (corpus, id)
    ) WITHOUT ROWID;
    CREATE TABLE document (
    corpus INTEGER NOT NULL, first INTEGER NOT NULL, length INTEGER NOT NULL, number INTEGER NOT NULL,
    title TEXT, language TEXT, topic TEXT, PRIMARY KEY (corpus, first)
    ) WITHOUT ROWID;
    CREATE TABLE passage (
    id INTEGER PRIMARY KEY, corpus INTEGER NOT NULL, first INTEGER NOT NULL, tokens BLOB NOT NULL,
    UNIQUE (corpus, first)
    );
    CREATE VIRTUAL TABLE passage_text USING fts5(text, content='', tokenize='unicode61 remove_diacritics 2');
    CREATE TABLE run (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, path TEXT NOT NULL, step INTEGER NOT NULL,
    corpus INTEGER NOT NULL, identity TEXT NOT NULL, configuration TEXT NOT NULL,
    width INTEGER NOT NULL, experts INTEGER NOT NULL, sublatents INTEGER NOT NULL,
    subspace INTEGER NOT NULL, k INTEGER NOT NULL, sub_threshold REAL NOT NULL,
    rows INTEGER NOT NULL, window INTEGER NOT NULL, has_promoted INTEGER NOT NULL,
    complete INTEGER NOT NULL
    );
    CREATE TABLE progress (
    run INTEGER NOT NULL, stage TEXT NOT NULL, block INTEGER NOT NULL, PRIMARY KEY (run, stage, block)
    ) WITHOUT ROWID;
    CREATE TABLE latent (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, expert INTEGER NOT NULL,
    sublatent INTEGER NOT NULL, fired INTEGER NOT NULL, chosen INTEGER NOT NULL,
    maximum REAL NOT NULL, mean REAL NOT NULL, parent_mean REAL NOT NULL, share REAL NOT NULL,
    live INTEGER NOT NULL, score REAL, words TEXT NOT NULL
    );
    CREATE INDEX latent_fired ON latent (run, sublatent < 0, fired);
    CREATE INDEX latent_maximum ON latent (run, sublatent < 0, maximum);
    CREATE INDEX latent_live ON latent (run, sublatent < 0, live);
    CREATE INDEX latent_score ON latent (run, sublatent < 0, score);
    CREATE TABLE evidence (
    latent INTEGER PRIMARY KEY, histogram BLOB NOT NULL, contexts BLOB NOT NULL,
    coactive BLOB NOT NULL
    );
    CREATE TABLE nearest (
    latent INTEGER PRIMARY KEY, related BLOB NOT NULL
    );
    CREATE TABLE direction (
    latent INTEGER PRIMARY KEY, unit BLOB NOT NULL
    );
    CREATE TABLE promoted (
    latent INTEGER PRIMARY KEY, lists BLOB NOT NULL
    );
    CREATE VIRTUAL TABLE latent_text USING fts5(words, promoted, content='', tokenize='unicode61 remove_diacritics 2');
    CREATE TABLE posting (
    id INTEGER PRIMARY KEY, latents BLOB NOT NULL
    );
    CREATE TABLE matched (
    latent INTEGER NOT NULL, other_run INTEGER NOT NULL, other INTEGER NOT NULL, cosine REAL NOT NULL,
    PRIMARY KEY (latent, other_run)
    ) WITHOUT ROWID;
    CREATE TABLE label (
    latent INTEGER PRIMARY KEY, text TEXT NOT NULL, changed INTEGER NOT NULL
    );
    CREATE VIRTUAL TABLE label_text USING fts5(text, content='', tokenize='unicode61 remove_diacritics 2');
    """ + "\n"
}
#endif
