-- Each index is one more place that every change of a task is written to. Those of the first version had the tasks in no order, so that
-- each change wrote pages of its own. These hold what few tasks are, or grow at their end: the tasks of a commit share their pages.
DROP INDEX tasks_by_state;
DROP INDEX tasks_to_prune;

CREATE INDEX tasks_open ON tasks (app) WHERE state <> 'ended';

CREATE INDEX tasks_ended ON tasks (app, ended_at, ended) WHERE state = 'ended' AND ended <> 'rejected';

CREATE INDEX tasks_rejected ON tasks (app) WHERE state = 'ended' AND ended = 'rejected';
