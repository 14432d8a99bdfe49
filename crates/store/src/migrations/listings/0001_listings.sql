-- What syncs saw. Instants are microseconds since 1970.
CREATE TABLE syncs (
    app TEXT PRIMARY KEY NOT NULL,
    -- 1 while a listing is under way
    under_way INTEGER NOT NULL,
    completed_at INTEGER
) STRICT, WITHOUT ROWID;

-- One listing of one resource type. Promoting and dropping change its state; the records stay where they are.
-- Ids are not used twice, because the records of a discarded listing are removed later.
CREATE TABLE listings (
    listing INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    slug TEXT NOT NULL,
    -- present, last or discarded
    state TEXT NOT NULL,
    -- how many records it holds, once it is last
    records INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX listings_in_use ON listings (app, state, slug) WHERE state <> 'discarded';

CREATE TABLE records (
    listing INTEGER NOT NULL,
    id TEXT NOT NULL,
    hash INTEGER NOT NULL,
    PRIMARY KEY (listing, id)
) STRICT, WITHOUT ROWID;

-- What completed syncs removed, for the rolling window of the removal guard.
CREATE TABLE removals (
    app TEXT NOT NULL,
    slug TEXT NOT NULL,
    at INTEGER NOT NULL,
    records INTEGER NOT NULL
) STRICT;

CREATE INDEX removals_by_time ON removals (app, slug, at);

CREATE TABLE runs (
    run INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    result TEXT NOT NULL,
    detail TEXT NOT NULL,
    -- JSON objects: slug to number of records
    pushed TEXT NOT NULL,
    removed TEXT NOT NULL
) STRICT;

CREATE INDEX runs_by_app ON runs (app, run);
