-- How many commits each process has made to the journal. The process notes the same number in its state folder: if the database
-- has a smaller one, or none, it was restored from an older copy.
CREATE TABLE positions (
    process TEXT PRIMARY KEY,
    commits BIGINT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL
);
