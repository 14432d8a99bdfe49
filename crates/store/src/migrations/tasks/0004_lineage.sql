-- Whose journal this is, and how far it has come. See docs/decisions/0009-state-is-witnessed.md.
CREATE TABLE lineage (
    only INTEGER PRIMARY KEY NOT NULL CHECK (only = 1),
    -- made with the database; a copy has the same
    identity TEXT NOT NULL,
    -- of the process that may write: each start draws another
    epoch INTEGER NOT NULL,
    -- counts commits, and never goes down
    commits INTEGER NOT NULL,
    -- the process that has it open, and when it started; NULL after an orderly end
    pid INTEGER,
    started TEXT
) STRICT;

-- When state was found to be lost or older than its witnesses. Instants are microseconds since 1970.
CREATE TABLE doubts (
    found_at INTEGER NOT NULL,
    -- tasks that Iden made up to then may have been begun by a journal that is lost
    until INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;

-- What Iden said of an app in a folder that was new: 1 if it had been synced before.
CREATE TABLE new_apps (
    app TEXT PRIMARY KEY NOT NULL,
    synced_before INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
