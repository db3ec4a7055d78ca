-- Retention by bytes and by hand.
--
-- volume     bytes of the heads and bodies of the endpoint's deliverable events, this one and all before it
--            included. As with ordinals, the difference of two tells what lies between them.
-- pin        events that retention leaves alone.

ALTER TABLE event ADD COLUMN volume INTEGER NOT NULL DEFAULT 0;

UPDATE event SET volume = total.volume
    FROM (SELECT place, SUM(is_deliverable * (length(head) + body_length))
                 OVER (PARTITION BY place >> 40 ORDER BY place) AS volume FROM event) AS total
    WHERE event.place = total.place;

ALTER TABLE endpoint ADD COLUMN trimmed_volume INTEGER NOT NULL DEFAULT 0; -- the volume of the newest trimmed event

CREATE TABLE pin (
    place     INTEGER PRIMARY KEY,
    pinned_at INTEGER NOT NULL,
    pinned_by TEXT    NOT NULL -- the token's name
) STRICT;
