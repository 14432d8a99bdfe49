-- The outcomes of a commit are now stored together. Before, each of them took a page when it was written, and the same page again when it
-- was erased. An outcome that is alone in its commit, or that an earlier version has written, stays in its task's row until it is reported.
CREATE TABLE outcomes (
    batch INTEGER NOT NULL PRIMARY KEY,
    -- Padding, then the outcomes as JSON, one after another. Reported ones are overwritten with zeros, and the row is removed with the last
    -- of them. As in `tasks`, the padding is longer than what a page of such a table holds of one row.
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Where the outcome is, while decided: the batch, the place of its first byte, counted from one, and its length.
ALTER TABLE tasks ADD COLUMN batch INTEGER;
ALTER TABLE tasks ADD COLUMN place INTEGER;
ALTER TABLE tasks ADD COLUMN size INTEGER;
