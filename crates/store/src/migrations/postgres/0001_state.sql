-- The state of bridgehead: the life of each task, and what syncs saw. The same as in SQLite, column by column, with these
-- differences: what comes from elsewhere is bytea, because it may hold a NUL, and because it is ordered byte by byte.
-- Instants are microseconds since 1970, by the clock of the node that wrote them. Only `owners` is by the clock of this server.

-- Whose state this is.
CREATE TABLE lineage (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    -- made with the state; a copy has the same
    identity TEXT NOT NULL,
    -- the folder into which it was moved; what is left here counts no more
    moved_to TEXT
);

-- Which node may write the state of an app, or of all of them ('*'). A takeover raises the epoch, and every transaction
-- that writes reads it under a lock: so nothing is written by a node that has lost it.
CREATE TABLE owners (
    app TEXT COLLATE "C" PRIMARY KEY,
    epoch BIGINT NOT NULL,
    -- the name of the node, for people
    node TEXT NOT NULL,
    -- of the process: each start draws another
    process TEXT NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    -- how long a call may last that the owner has begun, in milliseconds
    longest_call BIGINT NOT NULL,
    -- returned in an orderly way: nothing is under way
    is_released BOOLEAN NOT NULL DEFAULT FALSE,
    -- before then, a call of an earlier owner may still be under way
    settled_at TIMESTAMPTZ NOT NULL
);
-- It makes the epoch a part of a key: so changing it waits for the lock that writers hold, and renewing the lease does not.
CREATE UNIQUE INDEX owners_epoch ON owners (app, epoch);

-- The nodes that are there, by the clock of this server.
CREATE TABLE nodes (
    -- of the process: each start draws another
    process TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    version TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    -- it gives its apps away, and takes none
    is_leaving BOOLEAN NOT NULL,
    -- the apps that it could run
    apps TEXT[] NOT NULL
);

CREATE TABLE tasks (
    app TEXT COLLATE "C" NOT NULL,
    task BYTEA NOT NULL,
    action BYTEA NOT NULL,
    created_at BIGINT,
    -- hashed lane keys, eight bytes each, little-endian
    keys BYTEA NOT NULL,
    attempt BIGINT NOT NULL,
    first_intent_at BIGINT NOT NULL,
    last_intent_at BIGINT NOT NULL,
    -- intended, decided or ended
    state TEXT COLLATE "C" NOT NULL,
    -- completed or failed, once decided
    status TEXT COLLATE "C",
    code TEXT COLLATE "C",
    message BYTEA,
    -- accepted, conflict, missing or rejected, once ended
    ended TEXT COLLATE "C",
    detail BYTEA,
    ended_at BIGINT,
    -- padding and the outcome as JSON, while decided
    outcome BYTEA,
    may_have_applied BOOLEAN NOT NULL DEFAULT TRUE,
    -- JSON, without a value of the account
    prior TEXT,
    kept TEXT,
    PRIMARY KEY (app, task)
);
CREATE INDEX tasks_open ON tasks (app) WHERE state <> 'ended';
CREATE INDEX tasks_rejected ON tasks (app) WHERE state = 'ended' AND ended = 'rejected';
CREATE INDEX tasks_to_prune ON tasks (app, ended_at) WHERE state = 'ended' AND ended <> 'rejected';
CREATE INDEX tasks_destructive ON tasks (app, first_intent_at)
    WHERE action IN ('delete_account'::bytea, 'suspend_account'::bytea);

CREATE TABLE holds (
    app TEXT COLLATE "C" NOT NULL,
    task BYTEA NOT NULL,
    held_at BIGINT NOT NULL,
    released_at BIGINT,
    PRIMARY KEY (app, task)
);

CREATE TABLE doubts (
    found_at BIGINT NOT NULL,
    until BIGINT NOT NULL,
    reason TEXT NOT NULL
);

CREATE TABLE new_apps (
    app TEXT COLLATE "C" PRIMARY KEY,
    synced_before BOOLEAN NOT NULL
);

CREATE TABLE attempts (
    app TEXT COLLATE "C" NOT NULL,
    task BYTEA NOT NULL,
    began_at BIGINT NOT NULL,
    phase TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    ended_at BIGINT,
    code TEXT,
    message BYTEA,
    next_try_at BIGINT,
    PRIMARY KEY (app, task, began_at, phase)
);

CREATE TABLE pauses (
    app TEXT COLLATE "C" PRIMARY KEY,
    since BIGINT NOT NULL,
    paused_by BYTEA NOT NULL,
    reason BYTEA
);

CREATE TABLE syncs (
    app TEXT COLLATE "C" PRIMARY KEY,
    under_way BOOLEAN NOT NULL,
    completed_at BIGINT,
    unrecorded BOOLEAN NOT NULL DEFAULT FALSE,
    -- shown or lost; NULL until somebody has looked
    past TEXT,
    completing_at BIGINT,
    -- JSON
    completing_losses TEXT,
    iden_synced_at BIGINT,
    iden_pending_at BIGINT,
    shown_digest BIGINT,
    shown_losses BIGINT
);

CREATE TABLE listings (
    listing BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app TEXT COLLATE "C" NOT NULL,
    slug BYTEA NOT NULL,
    -- present, last or discarded
    state TEXT COLLATE "C" NOT NULL,
    records BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX listings_in_use ON listings (app, state, slug) WHERE state <> 'discarded';
CREATE INDEX listings_discarded ON listings (listing) WHERE state = 'discarded';

CREATE TABLE records (
    listing BIGINT NOT NULL,
    id BYTEA NOT NULL,
    hash BIGINT NOT NULL,
    -- 0 believed, 1 unjudged, 2 doubted, 3 created by a task
    standing BIGINT NOT NULL DEFAULT 0,
    facts BYTEA,
    PRIMARY KEY (listing, id)
);

CREATE TABLE removals (
    app TEXT COLLATE "C" NOT NULL,
    slug BYTEA NOT NULL,
    at BIGINT NOT NULL,
    records BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL
);
CREATE INDEX removals_by_time ON removals (app, slug, at);

CREATE TABLE changes (
    app TEXT COLLATE "C" NOT NULL,
    slug BYTEA NOT NULL,
    id BYTEA NOT NULL,
    kinds BIGINT NOT NULL,
    PRIMARY KEY (app, slug, id)
);

CREATE TABLE runs (
    run BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    result TEXT NOT NULL,
    reason TEXT,
    detail BYTEA NOT NULL,
    cause BYTEA,
    -- JSON
    pushed TEXT NOT NULL,
    removed TEXT NOT NULL
);
CREATE INDEX runs_by_app ON runs (app, run);

CREATE TABLE hours (
    app TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed TEXT NOT NULL,
    retried BIGINT NOT NULL,
    held BIGINT NOT NULL,
    oldest_pending BIGINT NOT NULL,
    durations TEXT NOT NULL,
    PRIMARY KEY (app, at)
);
