-- Where the store stands. Written last in every transaction.
CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL,
    time_ms INTEGER NOT NULL
) STRICT;
INSERT INTO store (one, revision, time_ms) VALUES (1, 0, 0);

-- What is: one document an object.
CREATE TABLE objects (
    kind TEXT NOT NULL,
    id BLOB NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- What happened: the event log.
CREATE TABLE commits (
    revision INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    principal TEXT NOT NULL
) STRICT;

CREATE TABLE events (
    revision INTEGER NOT NULL REFERENCES commits (revision) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id BLOB NOT NULL,
    -- What scopes saw in the object before; null if it was created.
    was TEXT,
    -- What it became; null if it was removed.
    document TEXT,
    PRIMARY KEY (revision, position)
) STRICT, WITHOUT ROWID;

-- What is over: removed objects, and who changed what.
CREATE TABLE archive (
    kind TEXT NOT NULL,
    app BLOB,
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, revision, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX archive_by_app ON archive (app, kind, revision, position);

CREATE TABLE audit (
    revision INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    principal TEXT NOT NULL,
    objects TEXT NOT NULL
) STRICT;

-- Idempotency keys, the oldest first.
CREATE TABLE keys (
    serial INTEGER PRIMARY KEY,
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    objects TEXT NOT NULL,
    UNIQUE (principal, key)
) STRICT;

-- Who leads. A row stays after its lease is over, so that epochs only grow.
CREATE TABLE leases (
    seat TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
