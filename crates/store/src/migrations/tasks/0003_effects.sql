-- Whether an attempt may have been applied: 1 from the moment an intent is written until the target is known to have done
-- nothing. Of what an earlier version wrote, nobody knows.
ALTER TABLE tasks ADD COLUMN may_have_applied INTEGER NOT NULL DEFAULT 1;

-- What the account looked like before the first attempt, as JSON without any of its values; NULL where nobody could look.
ALTER TABLE tasks ADD COLUMN prior TEXT;

-- What is left of a completed task's result once it was reported, as JSON, so that it can be reported again.
ALTER TABLE tasks ADD COLUMN kept TEXT;
