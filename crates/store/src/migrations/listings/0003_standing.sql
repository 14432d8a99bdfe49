-- What is known of a record of a 'last' listing, beside that it is in Iden:
-- 0 a completed sync had it, or one that could have been completed as far as the removal guard is concerned
-- 1 only syncs had it that were not read to their end
-- 2 only syncs had it that the removal guard holds: its removal is not judged
-- 3 a task created it, and no sync has had it yet; its hash means nothing
ALTER TABLE records ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;
