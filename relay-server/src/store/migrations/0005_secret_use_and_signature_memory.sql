-- How much each secret is used, and which signed contents came of late.
--
-- secret_use        a row for each secret of an endpoint, beside its sealed content, which is not written again.
-- signature_memory  the fingerprints of verified events: one row for each endpoint and commit, so that a batch of
--                   events costs one row and the oldest go without a search.

CREATE TABLE secret_use (
    endpoint     INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    uses         INTEGER NOT NULL, -- how many kept events it has checked
    last_used_at INTEGER NOT NULL, -- when the latest of them was received; 0 before the first
    PRIMARY KEY (endpoint, name)
) STRICT, WITHOUT ROWID;

-- What came before this table was there is counted as far as it is still kept.
INSERT INTO secret_use (endpoint, name, uses, last_used_at)
    SELECT secret.endpoint, secret.name, COALESCE(used.uses, 0), COALESCE(used.last_used_at, 0)
    FROM endpoint_secret AS secret
    LEFT JOIN (SELECT place >> 40 AS endpoint, facts ->> '$.verdict.secret' AS name,
                      COUNT(*) AS uses, MAX(received_at) AS last_used_at
               FROM event GROUP BY 1, 2) AS used
    ON used.endpoint = secret.endpoint AND used.name = secret.name;

CREATE TABLE signature_memory (
    place   INTEGER PRIMARY KEY, -- of its first event
    entries BLOB    NOT NULL     -- a fingerprint and the id of its event, 16 bytes each, again and again
) STRICT;
