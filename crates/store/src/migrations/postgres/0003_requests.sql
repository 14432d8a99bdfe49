-- What operators ask of the node that runs an app, on another node. Each request is taken once, and removed when its answer was read.
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    app TEXT COLLATE "C" NOT NULL,
    -- the recipient
    process TEXT NOT NULL,
    actor TEXT NOT NULL,
    body BYTEA NOT NULL,
    asked_at TIMESTAMPTZ NOT NULL,
    taken_at TIMESTAMPTZ,
    answer BYTEA
);
CREATE INDEX requests_waiting ON requests (process) WHERE taken_at IS NULL;
