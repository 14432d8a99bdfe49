-- The tables that sql-sqlite.toml is written for.
CREATE TABLE accounts (
    id TEXT PRIMARY KEY DEFAULT (lower(hex(randomblob(16)))),
    username TEXT NOT NULL COLLATE NOCASE UNIQUE,
    email TEXT COLLATE NOCASE UNIQUE,
    first_name TEXT,
    last_name TEXT,
    display_name TEXT,
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'suspended'))
) STRICT;

CREATE TABLE teams (id TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT;

CREATE TABLE team_members (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    team_id TEXT NOT NULL REFERENCES teams (id),
    PRIMARY KEY (account_id, team_id)
) STRICT;
