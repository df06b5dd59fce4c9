-- The schema of a store. Its number is `PRAGMA user_version`.
CREATE TABLE IF NOT EXISTS writers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
INSERT OR IGNORE INTO writers VALUES (0, 'main');
CREATE TABLE IF NOT EXISTS sources ( -- the files that requests come from
    id INTEGER PRIMARY KEY,
    writer INTEGER NOT NULL,
    log TEXT NOT NULL,
    generation INTEGER NOT NULL,
    UNIQUE (writer, log, generation)
);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY,          -- sources.id << 40 | offset in the file (bytes): the order of the log
    time INTEGER NOT NULL,           -- Unix time, s
    customer_id TEXT NOT NULL,
    request_path TEXT NOT NULL,
    status_code INTEGER NOT NULL,
    duration REAL,                   -- s; NULL: none was logged
    millisecond INTEGER,             -- of that second; NULL: none was logged
    method TEXT,                     -- NULL: none was logged
    bytes INTEGER                    -- of the response; NULL: none were logged
);
CREATE TABLE IF NOT EXISTS zones (   -- parts of the table requests, with the times in them
    id INTEGER PRIMARY KEY,          -- requests.id >> 18
    oldest INTEGER NOT NULL,         -- Unix time, s
    newest INTEGER NOT NULL
);
-- Rows by key, each a text: see rollups/rows.py, storage/ledger.py, storage/logs.py and storage/observed.py.
CREATE TABLE IF NOT EXISTS daily (
    customer TEXT NOT NULL,          -- '' for all customers together
    day INTEGER NOT NULL,            -- UTC days since 1970-01-01
    writer INTEGER NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (customer, day, writer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollups (
    "group" INTEGER NOT NULL,        -- of customers, see rollups/groups.py
    day INTEGER NOT NULL,            -- UTC days since 1970-01-01
    kind TEXT NOT NULL,
    segment INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY ("group", kind, day, segment, writer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (
    log TEXT NOT NULL,
    writer INTEGER NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (log, writer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    log TEXT NOT NULL,
    generation INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (log, generation, writer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rolled_up (
    log TEXT NOT NULL,
    writer INTEGER NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (log, writer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS observed (
    log TEXT NOT NULL,
    writer INTEGER NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (log, writer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (
    slot INTEGER NOT NULL,           -- the number of the commit, modulo the number of slots
    part INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (slot, part, writer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    name TEXT NOT NULL,              -- counts, rollups, rollups_intent, report, new_customers, retired, rules, requests
    writer INTEGER NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (name, writer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS intents (
    number INTEGER NOT NULL,         -- of the commit
    writer INTEGER NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (writer, number)
) WITHOUT ROWID;
