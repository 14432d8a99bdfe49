-- Tasks that the guard on destructive tasks holds, or held until the operator released them. Instants are
-- microseconds since 1970.
CREATE TABLE holds (
    app TEXT NOT NULL,
    task TEXT NOT NULL,
    held_at INTEGER NOT NULL,
    -- when the operator let it go
    released_at INTEGER,
    PRIMARY KEY (app, task)
) STRICT, WITHOUT ROWID;

-- What the guard counts. The actions are those that take access away.
CREATE INDEX tasks_destructive ON tasks (app, first_intent_at)
    WHERE action IN ('delete_account', 'suspend_account');
