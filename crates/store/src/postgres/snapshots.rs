//! The snapshots' reads, and the writes that are passed to the writer.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::PgConnection;

use super::super::sqlite::snapshots::counts_to_column;
use super::super::sqlite::time;
use super::super::{
    AccessBase, AccessFacts, Added, AppKey, BaselineOrigin, Changes, Difference, Duplicate, Error, IdenTime,
    LastSync, Losers, LossCount, LossKind, RecordHash, Run, RunReason, Shown, SnapshotStore, Trust, Which,
};
use super::commit::{self, Begin, Completing, Discard, NONE, Promote};
use super::noted::{NoteChanged, NoteCreated, NoteDeleted};
use super::open::Postgres;
use super::writer::{Problem, Write};
use super::{history, losses, retention, text, told};

/// The maximum number of ids or records per statement.
const AT_ONCE: usize = 5_000;

#[async_trait]
impl SnapshotStore for Postgres {
    async fn begin(&self, app: &AppKey) -> Result<(), Error> {
        self.write_listings(Begin { app: app.clone(), is_dry_run: false }).await
    }

    async fn begin_dry_run(&self, app: &AppKey) -> Result<(), Error> {
        self.write_listings(Begin { app: app.clone(), is_dry_run: true }).await
    }

    async fn discard(&self, app: &AppKey) -> Result<(), Error> {
        self.write_listings(Discard { app: app.clone() }).await
    }

    async fn add(&self, app: &AppKey, slug: &str, records: &[RecordHash]) -> Result<Added, Error> {
        let (app, slug, records) = (app.clone(), slug.to_owned(), records.to_vec());
        self.write_listings(Add { app, slug, records }).await
    }

    async fn set(&self, app: &AppKey, slug: &str, seen: &RecordHash) -> Result<(), Error> {
        let (app, slug, seen) = (app.clone(), slug.to_owned(), seen.clone());
        self.write_listings(Set { app, slug, seen }).await
    }

    async fn unset(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        let (app, slug, id) = (app.clone(), slug.to_owned(), id.to_owned());
        self.write_listings(Unset { app, slug, id }).await
    }

    async fn missing(&self, app: &AppKey, slug: &str, ids: &[&str]) -> Result<Vec<String>, Error> {
        let listing = self.compared(app, slug).await?.present;
        let mut held = HashSet::new();
        for piece in ids.chunks(AT_ONCE) {
            let named: Vec<&[u8]> = piece.iter().map(|id| id.as_bytes()).collect();
            let rows: Vec<Vec<u8>> =
                sqlx::query_scalar("SELECT id FROM records WHERE listing = $1 AND id = ANY($2)")
                    .bind(listing)
                    .bind(named)
                    .fetch_all(self.readers())
                    .await
                    .map_err(|error| self.fault(error))?;
            held.extend(rows);
        }
        Ok(ids.iter().filter(|id| !held.contains(id.as_bytes())).map(|id| (*id).to_owned()).collect())
    }

    async fn seen_count(&self, app: &AppKey, slug: &str) -> Result<u64, Error> {
        let listing = self.compared(app, slug).await?.present;
        self.count("SELECT count(*) FROM records WHERE listing = $1", listing, None).await
    }

    async fn difference(&self, app: &AppKey, slug: &str) -> Result<Difference, Error> {
        let compared = self.compared(app, slug).await?;
        let (present, last) = (compared.present, compared.last);
        let seen = self.count("SELECT count(*) FROM records WHERE listing = $1", present, None).await?;
        if last == NONE {
            return Ok(Difference { seen, created: seen, ..Difference::default() });
        }
        let both = self.count(commit::IN_BOTH, present, Some(last)).await?;
        let (removed, counting): (i64, i64) = sqlx::query_as(commit::GONE)
            .bind(last)
            .bind(present)
            .fetch_one(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        let doubted = removed.abs_diff(counting);
        let (known, all_doubted): (i64, i64) = sqlx::query_as(KNOWN)
            .bind(last)
            .fetch_one(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        Ok(Difference {
            known: known.unsigned_abs(),
            seen,
            created: seen.saturating_sub(both),
            changed: self.count(CHANGED, present, Some(last)).await?,
            removed: removed.unsigned_abs(),
            doubted,
            confirmed: all_doubted.unsigned_abs().saturating_sub(doubted),
        })
    }

    async fn ids(
        &self,
        app: &AppKey,
        slug: &str,
        which: Which,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        let compared = self.compared(app, slug).await?;
        let (one, other) = match which {
            Which::Created | Which::Changed | Which::Seen => (compared.present, compared.last),
            Which::Removed | Which::Counted => (compared.last, compared.present),
        };
        let statement = match which {
            Which::Created | Which::Removed => IDS_IN_ONE,
            Which::Counted => IDS_COUNTED,
            Which::Seen => IDS_SEEN,
            Which::Changed => IDS_CHANGED,
        };
        let ids: Vec<Vec<u8>> = sqlx::query_scalar(statement)
            .bind(one)
            .bind(other)
            .bind(after.unwrap_or_default().as_bytes())
            .bind(after.map(str::as_bytes))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        texts(ids, app)
    }

    async fn losers(&self, app: &AppKey, slug: &str, after: Option<&str>) -> Result<Losers, Error> {
        let compared = self.compared(app, slug).await?;
        losses::losers(self, app, slug, [compared.present, compared.last], after).await
    }

    async fn access_base(&self, app: &AppKey, slug: &str) -> Result<AccessBase, Error> {
        let last = self.compared(app, slug).await?.last;
        losses::base(self, last).await
    }

    async fn prepare_commit(&self, app: &AppKey, at: Timestamp, losses: &[LossCount]) -> Result<(), Error> {
        let (app, losses) = (app.clone(), losses.to_vec());
        self.write_listings(Completing { app, at, losses }).await
    }

    async fn commit(&self, app: &AppKey, at: Timestamp) -> Result<(), Error> {
        self.write_listings(Promote { app: app.clone(), at }).await
    }

    async fn retain(&self, app: &AppKey, belief: Trust) -> Result<(), Error> {
        retention::retain(self, app, belief).await
    }

    async fn note_created(
        &self,
        app: &AppKey,
        slug: &str,
        id: &str,
        access: Option<&AccessFacts>,
    ) -> Result<(), Error> {
        let (app, slug, id) = (app.clone(), slug.to_owned(), id.to_owned());
        let access = access.map(AccessFacts::to_bytes);
        self.write_listings(NoteCreated { app, slug, id, access }).await
    }

    async fn note_deleted(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        let (app, slug, id) = (app.clone(), slug.to_owned(), id.to_owned());
        self.write_listings(NoteDeleted { app, slug, id }).await
    }

    async fn note_changed(&self, app: &AppKey, slug: &str, id: &str, changes: Changes) -> Result<(), Error> {
        let (app, slug, id) = (app.clone(), slug.to_owned(), id.to_owned());
        self.write_listings(NoteChanged { app, slug, id, changes }).await
    }

    async fn known_slugs(&self, app: &AppKey) -> Result<Vec<String>, Error> {
        let slugs: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT slug FROM listings WHERE app = $1 AND state = 'last' AND EXISTS \
             (SELECT 1 FROM records WHERE records.listing = listings.listing) ORDER BY slug",
        )
        .bind(app.as_str())
        .fetch_all(self.readers())
        .await
        .map_err(|error| self.fault(error))?;
        texts(slugs, app)
    }

    async fn removals_since(&self, app: &AppKey, slug: &str, since: Timestamp) -> Result<u64, Error> {
        losses::since(self, app, slug, LossKind::Removed, since).await
    }

    async fn losses_since(
        &self,
        app: &AppKey,
        slug: &str,
        kind: LossKind,
        since: Timestamp,
    ) -> Result<u64, Error> {
        losses::since(self, app, slug, kind, since).await
    }

    async fn forgive_removals(&self, app: &AppKey) -> Result<(), Error> {
        self.write_listings(ForgiveRemovals { app: app.clone() }).await
    }

    async fn last(&self, app: &AppKey) -> Result<Option<LastSync>, Error> {
        // A single statement, so that a commit in between cannot mix the time of one sync with the counts of another.
        let rows: Vec<(i64, Option<Vec<u8>>, i64)> = sqlx::query_as(
            "SELECT syncs.completed_at, listings.slug, coalesce(listings.records, 0) FROM syncs \
             LEFT JOIN listings ON listings.app = syncs.app AND listings.state = 'last' \
             WHERE syncs.app = $1 AND syncs.completed_at IS NOT NULL",
        )
        .bind(app.as_str())
        .fetch_all(self.readers())
        .await
        .map_err(|error| self.fault(error))?;
        let Some((completed_at, _, _)) = rows.first() else {
            return Ok(None);
        };
        let at = time::from_column(*completed_at, &|| format!("the last sync of app {app}"))?;
        let mut counts = BTreeMap::new();
        for (_, slug, records) in rows {
            if let Some(slug) = slug {
                let slug = text::from_column(slug, &|| format!("a resource type of app {app}"))?;
                counts.insert(slug, records.unsigned_abs());
            }
        }
        Ok(Some(LastSync { at, counts }))
    }

    async fn past(&self, app: &AppKey) -> Result<Option<BaselineOrigin>, Error> {
        let past: Option<Option<String>> = sqlx::query_scalar("SELECT past FROM syncs WHERE app = $1")
            .bind(app.as_str())
            .fetch_optional(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        let Some(past) = past.flatten() else {
            return Ok(None);
        };
        let known = BaselineOrigin::ALL.into_iter().find(|known| known.as_str() == past);
        known.map(Some).ok_or_else(|| Error::Unreadable {
            what: format!("the past of app {app}"),
            detail: format!("it is {past:?}"),
        })
    }

    async fn set_past(&self, app: &AppKey, past: BaselineOrigin) -> Result<(), Error> {
        self.write_listings(SetPast { app: app.clone(), past }).await
    }

    async fn iden_time(&self, app: &AppKey) -> Result<IdenTime, Error> {
        told::iden_time(self, app).await
    }

    async fn set_iden_time(&self, app: &AppKey, synced_at: Timestamp) -> Result<(), Error> {
        self.write_listings(told::SetIdenTime { app: app.clone(), synced_at }).await
    }

    async fn shown(&self, app: &AppKey) -> Result<Option<Shown>, Error> {
        told::shown(self, app).await
    }

    async fn set_shown(&self, app: &AppKey, shown: Shown) -> Result<(), Error> {
        self.write_listings(told::SetShown { app: app.clone(), shown }).await
    }

    async fn was_interrupted(&self, app: &AppKey) -> Result<bool, Error> {
        let unrecorded: Option<bool> = sqlx::query_scalar("SELECT unrecorded FROM syncs WHERE app = $1")
            .bind(app.as_str())
            .fetch_optional(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        Ok(unrecorded.unwrap_or_default())
    }

    async fn record_run(&self, app: &AppKey, run: &Run) -> Result<(), Error> {
        let (app, run) = (app.clone(), run.clone());
        self.write_listings(RecordRun { app, run }).await
    }

    async fn runs(&self, app: &AppKey, limit: u32) -> Result<Vec<Run>, Error> {
        self.newest_runs(app, limit).await
    }
}

/// Ids in the first snapshot, but not in the second, starting after id $4.
const IDS_IN_ONE: &str = "SELECT one.id FROM records AS one WHERE one.listing = $1 AND one.id >= $3 \
     AND one.id IS DISTINCT FROM $4 AND NOT EXISTS \
     (SELECT 1 FROM records AS other WHERE other.listing = $2 AND other.id = one.id AND other.standing <> 3) \
     ORDER BY one.id LIMIT $5";

/// Ids in the first snapshot, starting after id $4.
const IDS_SEEN: &str = "SELECT id FROM records WHERE listing = $1 AND listing <> $2 AND id >= $3 AND id IS DISTINCT FROM $4 \
     ORDER BY id LIMIT $5";

/// The same, only for records that count.
const IDS_COUNTED: &str = "SELECT one.id FROM records AS one WHERE one.listing = $1 AND one.id >= $3 \
     AND one.id IS DISTINCT FROM $4 AND one.standing <> 2 AND NOT EXISTS \
     (SELECT 1 FROM records AS other WHERE other.listing = $2 AND other.id = one.id) \
     ORDER BY one.id LIMIT $5";

/// Ids in both, with different hashes, starting after id $4.
const IDS_CHANGED: &str = "SELECT one.id FROM records AS one JOIN records AS other \
     ON other.listing = $2 AND other.id = one.id AND other.hash <> one.hash AND other.standing <> 3 \
     WHERE one.listing = $1 AND one.id >= $3 AND one.id IS DISTINCT FROM $4 ORDER BY one.id LIMIT $5";

const CHANGED: &str = "SELECT count(*) FROM records AS one JOIN records AS other \
     ON other.listing = $2 AND other.id = one.id AND other.hash <> one.hash AND other.standing <> 3 \
     WHERE one.listing = $1";

/// The numbers of records in the last snapshot that count for the removal guard, and of those that do not.
const KNOWN: &str = "SELECT count(CASE WHEN standing <> 2 THEN 1 END), count(CASE WHEN standing = 2 THEN 1 END) \
     FROM records WHERE listing = $1";

/// The two snapshots of a resource type.
struct Compared {
    present: i64,
    last: i64,
}

impl Postgres {
    /// The snapshots of a type, if a snapshot of the app is in progress.
    async fn compared(&self, app: &AppKey, slug: &str) -> Result<Compared, Error> {
        let row: Option<(Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT present.listing, last.listing FROM syncs \
             LEFT JOIN listings AS present \
             ON present.app = syncs.app AND present.state = 'present' AND present.slug = $2 \
             LEFT JOIN listings AS last \
             ON last.app = syncs.app AND last.state = 'last' AND last.slug = $2 \
             WHERE syncs.app = $1 AND syncs.under_way",
        )
        .bind(app.as_str())
        .bind(slug.as_bytes())
        .fetch_optional(self.readers())
        .await
        .map_err(|error| self.fault(error))?;
        let (present, last) = row.ok_or_else(|| Error::NoListing { app: app.clone() })?;
        Ok(Compared { present: present.unwrap_or(NONE), last: last.unwrap_or(NONE) })
    }

    async fn count(&self, statement: &'static str, one: i64, other: Option<i64>) -> Result<u64, Error> {
        let mut query = sqlx::query_scalar(statement).bind(one);
        if let Some(other) = other {
            query = query.bind(other);
        }
        let count: i64 = query.fetch_one(self.readers()).await.map_err(|error| self.fault(error))?;
        Ok(count.unsigned_abs())
    }
}

struct Add {
    app: AppKey,
    slug: String,
    records: Vec<RecordHash>,
}

#[async_trait]
impl Write for Add {
    type Answer = Added;

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<Added, Problem> {
        let listing = commit::present(connection, &self.app, &self.slug).await?;
        let mut added = Added::default();
        for piece in self.records.chunks(AT_ONCE) {
            added.duplicates.extend(add(connection, listing, piece).await?);
        }
        Ok(added)
    }
}

/// Adds records, only the first one of each id, and returns the others.
async fn add(
    connection: &mut PgConnection,
    listing: i64,
    records: &[RecordHash],
) -> Result<Vec<Duplicate>, Problem> {
    let mut first: HashMap<&[u8], u64> = HashMap::new();
    let (mut ids, mut hashes, mut access) = (Vec::new(), Vec::new(), Vec::new());
    for seen in records {
        if let Entry::Vacant(place) = first.entry(seen.id.as_bytes()) {
            place.insert(seen.hash);
            ids.push(seen.id.as_bytes());
            hashes.push(seen.hash.cast_signed());
            access.push(facts(seen));
        }
    }
    let inserted: Vec<Vec<u8>> = sqlx::query_scalar(
        "INSERT INTO records (listing, id, hash, facts) \
         SELECT $1, id, hash, facts FROM unnest($2::bytea[], $3::bigint[], $4::bytea[]) AS given (id, hash, facts) \
         ON CONFLICT (listing, id) DO NOTHING RETURNING id",
    )
    .bind(listing)
    .bind(&ids)
    .bind(&hashes)
    .bind(&access)
    .fetch_all(&mut *connection)
    .await?;
    if inserted.len() == records.len() {
        return Ok(Vec::new());
    }
    let mut inserted: HashSet<Vec<u8>> = inserted.into_iter().collect();
    let before: Vec<&[u8]> = ids.into_iter().filter(|id| !inserted.contains(*id)).collect();
    let known: Vec<(Vec<u8>, i64)> =
        sqlx::query_as("SELECT id, hash FROM records WHERE listing = $1 AND id = ANY($2)")
            .bind(listing)
            .bind(&before)
            .fetch_all(connection)
            .await?;
    for (id, hash) in &known {
        if let Some(first) = first.get_mut(id.as_slice()) {
            *first = hash.cast_unsigned();
        }
    }
    let mut duplicates = Vec::new();
    for seen in records {
        if !inserted.remove(seen.id.as_bytes()) {
            let same = first.get(seen.id.as_bytes()) == Some(&seen.hash);
            duplicates.push(Duplicate { id: seen.id.clone(), same });
        }
    }
    Ok(duplicates)
}

fn texts(columns: Vec<Vec<u8>>, app: &AppKey) -> Result<Vec<String>, Error> {
    columns
        .into_iter()
        .map(|column| text::from_column(column, &|| format!("the id of a record of app {app}")))
        .collect()
}

/// The encoded access of a record.
fn facts(seen: &RecordHash) -> Option<Vec<u8>> {
    seen.facts.as_ref().map(AccessFacts::to_bytes)
}

struct Set {
    app: AppKey,
    slug: String,
    seen: RecordHash,
}

#[async_trait]
impl Write for Set {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        let listing = commit::present(connection, &self.app, &self.slug).await?;
        sqlx::query(
            "INSERT INTO records (listing, id, hash, facts) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (listing, id) DO UPDATE SET hash = excluded.hash, facts = excluded.facts",
        )
        .bind(listing)
        .bind(self.seen.id.as_bytes())
        .bind(self.seen.hash.cast_signed())
        .bind(facts(&self.seen))
        .execute(connection)
        .await?;
        Ok(())
    }
}

struct Unset {
    app: AppKey,
    slug: String,
    id: String,
}

#[async_trait]
impl Write for Unset {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        let listing = commit::present(connection, &self.app, &self.slug).await?;
        sqlx::query("DELETE FROM records WHERE listing = $1 AND id = $2")
            .bind(listing)
            .bind(self.id.as_bytes())
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct ForgiveRemovals {
    app: AppKey,
}

#[async_trait]
impl Write for ForgiveRemovals {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        sqlx::query("DELETE FROM removals WHERE app = $1")
            .bind(self.app.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct SetPast {
    app: AppKey,
    past: BaselineOrigin,
}

#[async_trait]
impl Write for SetPast {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        sqlx::query(
            "INSERT INTO syncs (app, under_way, past) VALUES ($1, FALSE, $2) \
             ON CONFLICT (app) DO UPDATE SET past = excluded.past",
        )
        .bind(self.app.as_str())
        .bind(self.past.as_str())
        .execute(connection)
        .await?;
        Ok(())
    }
}

struct RecordRun {
    app: AppKey,
    run: Run,
}

#[async_trait]
impl Write for RecordRun {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        let run = &self.run;
        sqlx::query(
            "INSERT INTO runs (app, started_at, ended_at, result, detail, pushed, removed, reason, cause) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(self.app.as_str())
        .bind(time::to_column(run.started_at))
        .bind(time::to_column(run.ended_at))
        .bind(run.result.as_str())
        .bind(run.detail.as_bytes())
        .bind(counts_to_column(&run.pushed))
        .bind(counts_to_column(&run.removed))
        .bind(run.reason.map(RunReason::as_str))
        .bind(run.cause.as_deref().map(str::as_bytes))
        .execute(&mut *connection)
        .await?;
        sqlx::query("UPDATE syncs SET unrecorded = FALSE WHERE app = $1")
            .bind(self.app.as_str())
            .execute(&mut *connection)
            .await?;
        history::drop_old_runs(connection, &self.app, run.ended_at).await?;
        Ok(())
    }
}
