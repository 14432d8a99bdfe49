-- Rows are now in the order in which tasks began, so the tasks of a commit are in a few pages next to each other. Before, the task's id
-- decided the place of a row, and each write of each task changed pages of its own. Only the unique key below still has the order of ids,
-- and it is written once per task.
CREATE TABLE ordered (
    -- counts tasks as they begin
    number INTEGER NOT NULL PRIMARY KEY,
    app TEXT NOT NULL,
    task TEXT NOT NULL,
    action TEXT NOT NULL,
    created_at INTEGER,
    keys BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    first_intent_at INTEGER NOT NULL,
    last_intent_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    status TEXT,
    code TEXT,
    message TEXT,
    ended TEXT,
    detail TEXT,
    ended_at INTEGER,
    may_have_applied INTEGER NOT NULL DEFAULT 1,
    prior TEXT,
    kept TEXT,
    -- Padding and the outcome as JSON, while decided. It is still the last column, and the table still has no rowid: the padding is
    -- longer than what a page of such a table holds of one row.
    outcome BLOB,
    UNIQUE (app, task)
) STRICT, WITHOUT ROWID;

INSERT INTO ordered (
    number, app, task, action, created_at, keys, attempt, first_intent_at, last_intent_at, state, status, code, message, ended, detail,
    ended_at, may_have_applied, prior, kept, outcome
)
SELECT
    row_number() OVER (ORDER BY first_intent_at, app, task), app, task, action, created_at, keys, attempt, first_intent_at, last_intent_at,
    state, status, code, message, ended, detail, ended_at, may_have_applied, prior, kept, outcome
FROM tasks;

-- The steps of tasks in the journal.
CREATE TABLE steps (
    -- of the task
    number INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    phase TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    ended_at INTEGER,
    code TEXT,
    message TEXT,
    next_try_at INTEGER,
    PRIMARY KEY (number, began_at, phase)
) STRICT, WITHOUT ROWID;

INSERT INTO steps (number, began_at, phase, attempt, ended_at, code, message, next_try_at)
SELECT ordered.number, old.began_at, old.phase, old.attempt, old.ended_at, old.code, old.message, old.next_try_at
FROM attempts AS old JOIN ordered ON ordered.app = old.app AND ordered.task = old.task
ORDER BY ordered.number;

DELETE FROM attempts WHERE EXISTS (SELECT 1 FROM tasks WHERE tasks.app = attempts.app AND tasks.task = attempts.task);

DROP TABLE tasks;
ALTER TABLE ordered RENAME TO tasks;

CREATE INDEX tasks_open ON tasks (app) WHERE state <> 'ended';
CREATE INDEX tasks_ended ON tasks (app, ended_at, ended) WHERE state = 'ended' AND ended <> 'rejected';
CREATE INDEX tasks_rejected ON tasks (app) WHERE state = 'ended' AND ended = 'rejected';
CREATE INDEX tasks_destructive ON tasks (app, first_intent_at)
    WHERE action IN ('delete_account', 'suspend_account');

-- The steps of tasks that are not in the journal yet: they move to `steps` with the intent.
ALTER TABLE attempts RENAME TO early_steps;

-- As part of the statement that writes the intent: one more statement would take longer than looking here.
CREATE TRIGGER steps_taken_along AFTER INSERT ON tasks
WHEN EXISTS (SELECT 1 FROM early_steps WHERE app = NEW.app AND task = NEW.task) BEGIN
    INSERT INTO steps (number, began_at, phase, attempt, ended_at, code, message, next_try_at)
    SELECT NEW.number, began_at, phase, attempt, ended_at, code, message, next_try_at
    FROM early_steps WHERE app = NEW.app AND task = NEW.task;
    DELETE FROM early_steps WHERE app = NEW.app AND task = NEW.task;
END;

-- All steps, as earlier versions stored them.
CREATE VIEW attempts (app, task, began_at, phase, attempt, ended_at, code, message, next_try_at) AS
SELECT tasks.app, tasks.task, one.began_at, one.phase, one.attempt, one.ended_at, one.code, one.message, one.next_try_at
FROM tasks JOIN steps AS one ON one.number = tasks.number
UNION ALL
SELECT app, task, began_at, phase, attempt, ended_at, code, message, next_try_at FROM early_steps;

-- State that is moved here from a database.
CREATE TRIGGER attempts_moved INSTEAD OF INSERT ON attempts BEGIN
    INSERT INTO steps (number, began_at, phase, attempt, ended_at, code, message, next_try_at)
    SELECT number, NEW.began_at, NEW.phase, NEW.attempt, NEW.ended_at, NEW.code, NEW.message, NEW.next_try_at
    FROM tasks WHERE app = NEW.app AND task = NEW.task;
    INSERT INTO early_steps (app, task, began_at, phase, attempt, ended_at, code, message, next_try_at)
    SELECT NEW.app, NEW.task, NEW.began_at, NEW.phase, NEW.attempt, NEW.ended_at, NEW.code, NEW.message, NEW.next_try_at
    WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE app = NEW.app AND task = NEW.task);
END;
