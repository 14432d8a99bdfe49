-- The status of each app as the node that runs it reports it, for display on other nodes. May be lost in a crash, so it is not logged.
CREATE UNLOGGED TABLE reported (
    app TEXT COLLATE "C" PRIMARY KEY,
    process TEXT NOT NULL,
    body BYTEA NOT NULL,
    at TIMESTAMPTZ NOT NULL
);

-- The oldest version of the tables whose nodes may still use this database. Nodes of two releases run beside each other during an upgrade:
-- a release only adds to the tables that the previous release uses, and the following release removes what is no longer used. A migration
-- that older nodes cannot work with raises this number.
CREATE TABLE compatibility (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    oldest BIGINT NOT NULL
);
INSERT INTO compatibility (oldest) VALUES (3);
