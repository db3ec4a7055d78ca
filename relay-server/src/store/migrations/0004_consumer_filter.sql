-- Which events a consumer wants, as its last session said; empty for all. How many its filters have left out stands
-- in `ahead`, as `filtered`.

ALTER TABLE consumer ADD COLUMN filter TEXT NOT NULL DEFAULT '';
