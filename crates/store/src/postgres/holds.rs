//! The deprovision limit's data that must survive a restart.

use async_trait::async_trait;
use bridgehead_sdk::TaskId;
use jiff::Timestamp;
use sqlx::PgConnection;

use super::super::sqlite::time;
use super::super::{AppKey, Error, Held};
use super::open::Postgres;
use super::text;
use super::writer::{Problem, Write};

/// The maximum number of tasks per write, so that other writes do not wait for long.
const AT_ONCE: usize = 1000;

/// A change of a task's hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Hold { at: Timestamp },
    Release { at: Timestamp },
    Forget,
}

impl Postgres {
    pub(super) async fn calls_since(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Timestamp>, Error> {
        // A task that was rejected before the connector was called has attempt 0.
        let statement = "SELECT first_intent_at FROM tasks \
             WHERE app = $1 AND first_intent_at > $2 AND attempt > 0 \
             AND action IN ('delete_account'::bytea, 'suspend_account'::bytea) ORDER BY first_intent_at";
        let instants: Vec<i64> = sqlx::query_scalar(statement)
            .bind(app.as_str())
            .bind(time::to_column(since))
            .fetch_all(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        let what = || format!("a task of app {app} in the journal");
        instants.into_iter().map(|instant| time::from_column(instant, &what)).collect()
    }

    pub(super) async fn change_holds(
        &self,
        app: &AppKey,
        tasks: &[TaskId],
        change: Change,
    ) -> Result<(), Error> {
        for piece in tasks.chunks(AT_ONCE) {
            let (app, tasks) = (app.clone(), piece.to_vec());
            self.write_tasks(ChangeHolds { app, tasks, change }).await?;
        }
        Ok(())
    }

    pub(super) async fn holds(&self, app: &AppKey) -> Result<Vec<Held>, Error> {
        let statement = "SELECT task, held_at, released_at FROM holds WHERE app = $1 ORDER BY held_at, task";
        let rows: Vec<(Vec<u8>, i64, Option<i64>)> = sqlx::query_as(statement)
            .bind(app.as_str())
            .fetch_all(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        let held = |(task, held_at, released_at): (Vec<u8>, i64, Option<i64>)| {
            let task = text::from_column(task, &|| "the hold of a task".to_owned())?;
            let instant = |column| time::from_column(column, &|| format!("the hold of task {task}"));
            let (held_at, released_at) = (instant(held_at)?, released_at.map(instant).transpose()?);
            Ok(Held { held_at, released_at, task: TaskId::new(task) })
        };
        rows.into_iter().map(held).collect()
    }

    pub(super) async fn prune_releases(&self, app: &AppKey, before: Timestamp) -> Result<(), Error> {
        self.write_tasks(PruneReleases { app: app.clone(), before }).await
    }
}

struct ChangeHolds {
    app: AppKey,
    tasks: Vec<TaskId>,
    change: Change,
}

#[async_trait]
impl Write for ChangeHolds {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        for task in &self.tasks {
            let (statement, at) = match self.change {
                Change::Hold { at } => {
                    let statement = "INSERT INTO holds (app, task, held_at) VALUES ($1, $2, $3) \
                         ON CONFLICT (app, task) DO NOTHING";
                    (statement, Some(at))
                }
                Change::Release { at } => {
                    let statement = "INSERT INTO holds (app, task, held_at, released_at) VALUES ($1, $2, $3, $3) \
                         ON CONFLICT (app, task) DO UPDATE SET released_at = coalesce(holds.released_at, excluded.released_at)";
                    (statement, Some(at))
                }
                Change::Forget => ("DELETE FROM holds WHERE app = $1 AND task = $2", None),
            };
            let mut query = sqlx::query(statement).bind(self.app.as_str()).bind(task.as_str().as_bytes());
            if let Some(at) = at {
                query = query.bind(time::to_column(at));
            }
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

struct PruneReleases {
    app: AppKey,
    before: Timestamp,
}

#[async_trait]
impl Write for PruneReleases {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        sqlx::query(
            "DELETE FROM holds WHERE app = $2 AND released_at IS NOT NULL AND (released_at < $1 OR EXISTS \
             (SELECT 1 FROM tasks WHERE tasks.app = holds.app AND tasks.task = holds.task))",
        )
        .bind(time::to_column(self.before))
        .bind(self.app.as_str())
        .execute(connection)
        .await?;
        Ok(())
    }
}
