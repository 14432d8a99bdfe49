-- The timeline on which the server was last used, and whether its commits waited for a replica then. Each promotion of a replica begins a
-- new timeline: if the server is on a later one and the commits did not wait, some may be missing.
CREATE TABLE timeline (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    number BIGINT NOT NULL,
    is_synchronous BOOLEAN NOT NULL
);
