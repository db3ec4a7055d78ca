-- A replay may have a request of its own: signed again, edited, or both. Without one, `request_head` is empty.

ALTER TABLE replay ADD COLUMN request_head        BLOB    NOT NULL DEFAULT x'';
ALTER TABLE replay ADD COLUMN request_facts       TEXT    NOT NULL DEFAULT ''; -- JSON: changes, verdict, delivery id
ALTER TABLE replay ADD COLUMN request_has_body    INTEGER NOT NULL DEFAULT 0;  -- 0: the event's own body
ALTER TABLE replay ADD COLUMN request_body_length INTEGER NOT NULL DEFAULT 0;
ALTER TABLE replay ADD COLUMN request_body_file   TEXT    NOT NULL DEFAULT ''; -- empty when it stands in the row
ALTER TABLE replay ADD COLUMN request_body        BLOB    NOT NULL DEFAULT x'';

CREATE INDEX replay_by_body_file ON replay (request_body_file) WHERE request_body_file <> '';
