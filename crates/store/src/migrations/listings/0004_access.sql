-- What a record said of somebody's access: one byte for the status, then eight bytes for each membership and assignment,
-- sorted. NULL for groups and licences, and where it is not known. A later listing replaces it only when it is completed,
-- so that a loss is compared with what was last completed.
ALTER TABLE records ADD COLUMN facts BLOB;

-- What completed syncs took away: removed, deactivated or memberships.
ALTER TABLE removals ADD COLUMN kind TEXT NOT NULL DEFAULT 'removed';

-- Accounts whose access tasks have changed since the last completed sync: 1 their status, 2 their memberships, 3 both.
CREATE TABLE changes (
    app TEXT NOT NULL,
    slug TEXT NOT NULL,
    id TEXT NOT NULL,
    kinds INTEGER NOT NULL,
    PRIMARY KEY (app, slug, id)
) STRICT, WITHOUT ROWID;

-- What the sync that is being completed takes away besides records: a JSON list of slug, kind, number.
ALTER TABLE syncs ADD COLUMN completing_losses TEXT;

-- When Iden says that the app was last synced, as it said after our last completed sync: by Iden's clock.
ALTER TABLE syncs ADD COLUMN iden_synced_at INTEGER;
-- When `complete` was sent of which Iden's own time is not known yet: by our clock.
ALTER TABLE syncs ADD COLUMN iden_pending_at INTEGER;

-- What the operator was last shown that a sync would take away: its digest and its number.
ALTER TABLE syncs ADD COLUMN shown_digest INTEGER;
ALTER TABLE syncs ADD COLUMN shown_losses INTEGER;
