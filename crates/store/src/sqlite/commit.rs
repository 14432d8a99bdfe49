//! Writes to whole snapshots: begin, commit, discard.
//!
//! Committing a snapshot changes two rows, however many records it has. The records of obsolete snapshots are removed later, in pieces,
//! while no writes wait.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::super::snapshot::REMEMBERED;
use super::super::{AppKey, Error, LossCount, LossKind};
use super::writer::{Maintenance, Problem, Write};
use super::{losses, time};

/// The number of records removed at a time.
const REMOVED_AT_ONCE: i64 = 5000;

/// The number of records in the current snapshot that earlier ones contained. The CROSS JOIN fixes the join order.
pub(super) const IN_BOTH: &str = "SELECT count(*) FROM records AS one CROSS JOIN records AS other \
     ON other.listing = ?2 AND other.id = one.id AND other.standing <> 3 WHERE one.listing = ?1";

/// The numbers of records in the last snapshot, total and counting, that the current one does not contain.
pub(super) const GONE: &str = "SELECT count(*), count(CASE WHEN one.standing <> 2 THEN 1 END) FROM records AS one \
     WHERE one.listing = ?1 AND NOT EXISTS \
     (SELECT 1 FROM records AS other WHERE other.listing = ?2 AND other.id = one.id)";

pub(super) struct Begin {
    pub(super) app: AppKey,
    pub(super) is_dry_run: bool,
}

#[async_trait]
impl Write for Begin {
    type Answer = ();
    const NAME: &'static str = "begin";
    const CHORE: Option<Maintenance> = Some(Maintenance::Discard);

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        DropUnfinished { app: Some(self.app.clone()) }.run(connection).await?;
        sqlx::query(
            "INSERT INTO syncs (app, under_way, unrecorded) VALUES (?1, 1, ?2) \
             ON CONFLICT DO UPDATE SET under_way = 1, unrecorded = max(unrecorded, ?2), \
             completing_at = NULL, completing_losses = NULL",
        )
        .bind(self.app.as_str())
        .bind(!self.is_dry_run)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Discards the current snapshot of a dry run.
pub(super) struct Discard {
    pub(super) app: AppKey,
}

#[async_trait]
impl Write for Discard {
    type Answer = ();
    const NAME: &'static str = "discard";
    const CHORE: Option<Maintenance> = Some(Maintenance::Discard);

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let statements = [
            "UPDATE listings SET state = 'discarded' WHERE app = ?1 AND state = 'present'",
            "UPDATE syncs SET under_way = 0 WHERE app = ?1",
        ];
        for statement in statements {
            sqlx::query(statement).bind(self.app.as_str()).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// Records that `complete` is about to be sent.
pub(super) struct Completing {
    pub(super) app: AppKey,
    pub(super) at: Timestamp,
    pub(super) losses: Vec<LossCount>,
}

#[async_trait]
impl Write for Completing {
    type Answer = ();
    const NAME: &'static str = "completing";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        require_under_way(connection, &self.app).await?;
        sqlx::query(
            "UPDATE syncs SET completing_at = ?2, completing_losses = ?3, iden_pending_at = ?2 WHERE app = ?1",
        )
        .bind(self.app.as_str())
        .bind(time::to_column(self.at))
        .bind(losses::to_column(&self.losses))
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Drops unfinished snapshots of an earlier process or sync, so that they are never completed by mistake. Commits those for which `complete`
/// was about to be sent, because the Bridge may have received it.
pub(super) struct DropUnfinished {
    /// The app whose snapshots are dropped; `None` for all apps.
    pub(super) app: Option<AppKey>,
}

#[async_trait]
impl Write for DropUnfinished {
    type Answer = ();
    const NAME: &'static str = "drop_unfinished";
    const CHORE: Option<Maintenance> = Some(Maintenance::Discard);

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let completing: Vec<(String, i64)> = sqlx::query_as(
            "SELECT app, completing_at FROM syncs \
             WHERE under_way = 1 AND completing_at IS NOT NULL AND (?1 IS NULL OR app = ?1)",
        )
        .bind(self.app.as_ref().map(AppKey::as_str))
        .fetch_all(&mut *connection)
        .await?;
        for (app, at) in completing {
            let what = || format!("the sync of app {app} that was being completed");
            let at = time::from_column(at, &what)?;
            let app = app.parse().map_err(|_| Error::Unreadable {
                what: what(),
                detail: "its app is not a UUID".to_owned(),
            })?;
            Promote { app, at }.run(connection).await?;
        }
        for statement in [
            "UPDATE listings SET state = 'discarded' WHERE state = 'present' AND (?1 IS NULL OR app = ?1)",
            "UPDATE syncs SET under_way = 0 WHERE under_way = 1 AND (?1 IS NULL OR app = ?1)",
        ] {
            sqlx::query(statement)
                .bind(self.app.as_ref().map(AppKey::as_str))
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

pub(super) struct Promote {
    pub(super) app: AppKey,
    pub(super) at: Timestamp,
}

#[async_trait]
impl Write for Promote {
    type Answer = ();
    const NAME: &'static str = "promote";
    const CHORE: Option<Maintenance> = Some(Maintenance::Discard);

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let app = self.app.as_str();
        require_under_way(connection, &self.app).await?;
        self.record_removals(connection).await?;
        let statements = [
            "UPDATE listings SET state = 'discarded' WHERE app = ?1 AND state = 'last'",
            "UPDATE listings SET state = 'last', \
             records = (SELECT count(*) FROM records WHERE records.listing = listings.listing) \
             WHERE app = ?1 AND state = 'present'",
        ];
        for statement in statements {
            sqlx::query(statement).bind(app).execute(&mut *connection).await?;
        }
        sqlx::query(
            "UPDATE syncs SET under_way = 0, completed_at = ?2, completing_at = NULL, completing_losses = NULL, \
             shown_digest = NULL, shown_losses = NULL WHERE app = ?1",
        )
        .bind(app)
        .bind(time::to_column(self.at))
        .execute(&mut *connection)
        .await?;
        sqlx::query("DELETE FROM changes WHERE app = ?1").bind(app).execute(connection).await?;
        Ok(())
    }
}

impl Promote {
    async fn record_removals(&self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let app = self.app.as_str();
        let last: Vec<(i64, String)> =
            sqlx::query_as("SELECT listing, slug FROM listings WHERE app = ?1 AND state = 'last'")
                .bind(app)
                .fetch_all(&mut *connection)
                .await?;
        for (listing, slug) in last {
            let present = find_present(connection, app, &slug).await?.unwrap_or(NONE);
            let (_, removed): (i64, i64) =
                sqlx::query_as(GONE).bind(listing).bind(present).fetch_one(&mut *connection).await?;
            if removed > 0 {
                self.record_loss(connection, &slug, LossKind::Removed, removed).await?;
            }
        }
        let others: Option<String> = sqlx::query_scalar("SELECT completing_losses FROM syncs WHERE app = ?1")
            .bind(app)
            .fetch_one(&mut *connection)
            .await?;
        for lost in losses::from_column(others.as_deref())? {
            let count = i64::try_from(lost.count).unwrap_or(i64::MAX);
            self.record_loss(connection, &lost.slug, lost.kind, count).await?;
        }
        let forgotten = self.at.saturating_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
        sqlx::query("DELETE FROM removals WHERE app = ?1 AND at < ?2")
            .bind(app)
            .bind(time::to_column(forgotten))
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn record_loss(
        &self,
        connection: &mut SqliteConnection,
        slug: &str,
        kind: LossKind,
        count: i64,
    ) -> Result<(), Problem> {
        sqlx::query("INSERT INTO removals (app, slug, at, records, kind) VALUES (?1, ?2, ?3, ?4, ?5)")
            .bind(self.app.as_str())
            .bind(slug)
            .bind(time::to_column(self.at))
            .bind(count)
            .bind(kind.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// A number that no snapshot has.
pub(super) const NONE: i64 = -1;

/// Returns the current snapshot of a type, and creates it if necessary.
pub(super) async fn present(
    connection: &mut SqliteConnection,
    app: &AppKey,
    slug: &str,
) -> Result<i64, Problem> {
    if let Some(listing) = find_present(connection, app.as_str(), slug).await? {
        return Ok(listing);
    }
    require_under_way(connection, app).await?;
    let done = sqlx::query("INSERT INTO listings (app, slug, state) VALUES (?1, ?2, 'present')")
        .bind(app.as_str())
        .bind(slug)
        .execute(connection)
        .await?;
    Ok(done.last_insert_rowid())
}

async fn find_present(
    connection: &mut SqliteConnection,
    app: &str,
    slug: &str,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT listing FROM listings WHERE app = ?1 AND slug = ?2 AND state = 'present'")
        .bind(app)
        .bind(slug)
        .fetch_optional(connection)
        .await
}

pub(super) async fn require_under_way(
    connection: &mut SqliteConnection,
    app: &AppKey,
) -> Result<(), Problem> {
    let under_way: Option<bool> = sqlx::query_scalar("SELECT under_way = 1 FROM syncs WHERE app = ?1")
        .bind(app.as_str())
        .fetch_optional(connection)
        .await?;
    if under_way == Some(true) { Ok(()) } else { Err(Error::NoListing { app: app.clone() }.into()) }
}

/// Removes some records of a discarded snapshot. Returns false if there are none left.
pub(super) async fn remove_discarded(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let listing: Option<i64> =
        sqlx::query_scalar("SELECT listing FROM listings WHERE state = 'discarded' LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
    let Some(listing) = listing else {
        return Ok(false);
    };
    let done = sqlx::query(
        "DELETE FROM records WHERE listing = ?1 AND id IN \
         (SELECT id FROM records WHERE listing = ?1 ORDER BY id LIMIT ?2)",
    )
    .bind(listing)
    .bind(REMOVED_AT_ONCE)
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        sqlx::query("DELETE FROM listings WHERE listing = ?1 AND state = 'discarded'")
            .bind(listing)
            .execute(connection)
            .await?;
    }
    Ok(true)
}
