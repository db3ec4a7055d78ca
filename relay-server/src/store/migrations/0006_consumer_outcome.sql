-- What came of the last attempt that each consumer reported, as JSON; empty before the first.

ALTER TABLE consumer ADD COLUMN last_outcome TEXT NOT NULL DEFAULT '';
