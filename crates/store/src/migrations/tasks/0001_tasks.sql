-- The life of each task. Instants are microseconds since 1970.
CREATE TABLE tasks (
    app TEXT NOT NULL,
    task TEXT NOT NULL,
    action TEXT NOT NULL,
    created_at INTEGER,
    -- Hashed lane keys, eight bytes each, little-endian.
    keys BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    first_intent_at INTEGER NOT NULL,
    last_intent_at INTEGER NOT NULL,
    -- intended, decided or ended
    state TEXT NOT NULL,
    -- completed or failed, once decided
    status TEXT,
    -- the standard code, if failed
    code TEXT,
    -- the message of a rejected report
    message TEXT,
    -- accepted, conflict, missing or rejected, once ended
    ended TEXT,
    -- the Bridge's reason for rejecting
    detail TEXT,
    ended_at INTEGER,
    -- Padding and the outcome as JSON, while decided. It is the last column, and the padding is longer than
    -- what a b-tree page holds of one row: so the JSON stands in overflow pages, which are zeroed when they
    -- are freed. Within b-tree pages, rebalancing can leave copies of rows behind.
    outcome BLOB,
    PRIMARY KEY (app, task)
) STRICT, WITHOUT ROWID;

CREATE INDEX tasks_by_state ON tasks (app, state, ended);

CREATE INDEX tasks_to_prune ON tasks (ended_at) WHERE state = 'ended' AND ended <> 'rejected';
