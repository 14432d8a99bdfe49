-- As in the journal. This database is also a witness of how far the journal has come.
CREATE TABLE lineage (
    only INTEGER PRIMARY KEY NOT NULL CHECK (only = 1),
    identity TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    commits INTEGER NOT NULL,
    -- the journal as it was last seen
    tasks_identity TEXT NOT NULL,
    tasks_commits INTEGER NOT NULL
) STRICT;
