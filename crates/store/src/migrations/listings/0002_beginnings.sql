-- 1 from the beginning of a sync until its run is recorded: what is left of it tells that the process died in between.
ALTER TABLE syncs ADD COLUMN unrecorded INTEGER NOT NULL DEFAULT 0;

-- What is known of the time before the first completed sync: ours or lost; NULL until somebody has looked.
ALTER TABLE syncs ADD COLUMN past TEXT;

-- When `complete` was about to be sent: if the process died then, the present listing is the last completed one.
ALTER TABLE syncs ADD COLUMN completing_at INTEGER;
