-- The steps of each task, for those who ask what became of it. Instants are microseconds since 1970. No payload.
CREATE TABLE attempts (
    app TEXT NOT NULL,
    task TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    -- fetch, admit, look_up, execute, verify, wait, resolve or report
    phase TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    ended_at INTEGER,
    -- the standard code it failed with
    code TEXT,
    -- redacted
    message TEXT,
    next_try_at INTEGER,
    PRIMARY KEY (app, task, began_at, phase)
) STRICT, WITHOUT ROWID;

-- The apps that an operator has paused.
CREATE TABLE pauses (
    app TEXT PRIMARY KEY NOT NULL,
    since INTEGER NOT NULL,
    by TEXT NOT NULL,
    reason TEXT
) STRICT, WITHOUT ROWID;
