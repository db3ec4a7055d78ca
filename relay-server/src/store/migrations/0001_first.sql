-- The first schema. Migrations are appended, never edited.
--
-- place      an endpoint and a seq in one number: endpoint * 2^40 + seq. An endpoint's events lie side by
--            side in the order of their seq, without an index of their own.
-- ordinal    how many deliverable events the endpoint had, this one included. The difference of two
--            ordinals counts what lies between them, so that nothing ever counts rows.
-- times      milliseconds since the Unix epoch; 9223372036854775807 stands for never.

CREATE TABLE endpoint (
    endpoint_id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name                TEXT    NOT NULL,
    key                 TEXT    NOT NULL UNIQUE,
    settings            TEXT    NOT NULL,           -- JSON: provider, parameters, answer, limits
    created_at          INTEGER NOT NULL,
    is_deleted          INTEGER NOT NULL DEFAULT 0, -- its rows go in small steps, then this one
    trimmed_through     INTEGER NOT NULL DEFAULT 0, -- the highest seq that is not kept any more
    trimmed_ordinal     INTEGER NOT NULL DEFAULT 0  -- the ordinal of that event
) STRICT;

CREATE UNIQUE INDEX endpoint_by_name ON endpoint (name) WHERE is_deleted = 0;

CREATE TABLE endpoint_secret (
    endpoint   INTEGER NOT NULL REFERENCES endpoint (endpoint_id),
    name       TEXT    NOT NULL,
    key_id     TEXT    NOT NULL, -- which key file encrypted it
    nonce      BLOB    NOT NULL,
    sealed     BLOB    NOT NULL, -- XChaCha20-Poly1305; endpoint and name are authenticated with it
    created_at INTEGER NOT NULL,
    PRIMARY KEY (endpoint, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    place          INTEGER PRIMARY KEY,
    id             BLOB    NOT NULL UNIQUE,
    received_at    INTEGER NOT NULL,
    is_deliverable INTEGER NOT NULL,
    ordinal        INTEGER NOT NULL,
    facts          TEXT    NOT NULL, -- JSON: remote, tls, kind, verdict, head source, provider's names
    body_length    INTEGER NOT NULL,
    body_file      TEXT    NOT NULL, -- empty when the body stands in `body`
    head           BLOB    NOT NULL,
    body           BLOB    NOT NULL
) STRICT;

CREATE INDEX event_rejected_by_place ON event (place) WHERE is_deliverable = 0;
CREATE INDEX event_rejected_by_id ON event (id) WHERE is_deliverable = 0;
CREATE INDEX event_by_body_file ON event (body_file) WHERE body_file <> '';

CREATE TABLE consumer (
    consumer_id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint    INTEGER NOT NULL REFERENCES endpoint (endpoint_id),
    name        TEXT    NOT NULL,
    cursor      INTEGER NOT NULL,
    ahead       TEXT    NOT NULL, -- JSON: settled ranges above the cursor, attempts of what is not settled
    created_at  INTEGER NOT NULL,
    UNIQUE (endpoint, name)
) STRICT;

CREATE TABLE attempt (
    attempt_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    place       INTEGER NOT NULL,
    consumer    INTEGER NOT NULL, -- 0 for one made outside any consumer's line
    line        TEXT    NOT NULL, -- empty in the consumer's line, else the replay, else who and when
    number      INTEGER NOT NULL,
    made_by     TEXT    NOT NULL,
    recorded_at INTEGER NOT NULL,
    facts       TEXT    NOT NULL, -- JSON of the attempt as it was reported
    sent_head   BLOB    NOT NULL,
    reply_head  BLOB    NOT NULL,
    reply_body  BLOB    NOT NULL,
    UNIQUE (place, consumer, line, number)
) STRICT;

CREATE TABLE replay (
    replay_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB    NOT NULL UNIQUE,
    place      INTEGER NOT NULL,
    consumer   INTEGER NOT NULL,
    asked_at   INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    is_settled INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX replay_pending ON replay (consumer, replay_id) WHERE is_settled = 0;
CREATE INDEX replay_by_place ON replay (place);

CREATE TABLE token (
    token_id   BLOB    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    sha256     BLOB    NOT NULL UNIQUE,
    scopes     TEXT    NOT NULL, -- JSON: a list of names
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row that `/readyz` writes, so that it tells the truth about the disk.
CREATE TABLE probe (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    probed_at INTEGER NOT NULL
) STRICT;
