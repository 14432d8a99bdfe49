-- What an app did within an hour, for charts: numbers alone. Instants are microseconds since 1970.
CREATE TABLE hours (
    app TEXT NOT NULL,
    -- when the hour began
    at INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    -- a JSON object: code to number of tasks
    failed TEXT NOT NULL,
    retried INTEGER NOT NULL,
    -- the most at once
    held INTEGER NOT NULL,
    -- the greatest age of a pending task, in seconds
    oldest_pending INTEGER NOT NULL,
    -- a JSON list: how many calls fell into each class of durations
    durations TEXT NOT NULL,
    PRIMARY KEY (app, at)
) STRICT, WITHOUT ROWID;
