-- Why a sync ended as it did: a name such as access_guard. NULL where there is nothing to add to its result, and of syncs that an
-- earlier version has recorded.
ALTER TABLE runs ADD COLUMN reason TEXT;

-- What is wrong, without what to do about it; NULL if `detail` says nothing else.
ALTER TABLE runs ADD COLUMN cause TEXT;

-- A sync that was stopped together with the daemon says nothing about the one before it. Earlier versions knew it by its text.
UPDATE runs SET reason = 'stopped'
WHERE detail IN ('stopped before the end; nobody was removed', 'interrupted before the end; no account was removed');
