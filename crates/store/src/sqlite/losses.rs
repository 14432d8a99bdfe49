//! Finds accounts that lose access without being removed, and counts recent losses.

use jiff::Timestamp;

use super::super::{AccessBase, AccessFacts, AccessLoss, AppKey, Error, Loser, Losers, LossCount, LossKind};
use super::store::Store;
use super::time;

/// The number of records with different access that are compared at a time.
const PIECE: usize = 500;

/// A bit in the column `kinds` of `changes`, where earlier versions recorded what tasks had changed: the status.
const STATUS: i64 = 1;
/// The same: memberships or assignments.
const MEMBERSHIPS: i64 = 2;

/// Records in both snapshots with different access, starting after id ?4; ?1 is the current snapshot. The CROSS JOIN fixes the join order.
const DIFFER: &str = "SELECT one.id, other.facts, one.facts, coalesce(changes.kinds, 0) FROM records AS one \
     CROSS JOIN records AS other ON other.listing = ?2 AND other.id = one.id AND other.facts IS NOT NULL \
     AND other.facts <> one.facts AND other.standing <> 2 \
     LEFT JOIN changes ON changes.app = ?5 AND changes.slug = ?6 AND changes.id = one.id \
     WHERE one.listing = ?1 AND one.facts IS NOT NULL AND one.id >= ?3 AND one.id IS NOT ?4 \
     ORDER BY one.id LIMIT ?7";

const BASE: &str = "SELECT count(CASE WHEN substr(facts, 1, 1) = x'01' THEN 1 END), \
     count(CASE WHEN length(facts) > 1 THEN 1 END), count(CASE WHEN facts IS NULL AND standing <> 3 THEN 1 END) \
     FROM records WHERE listing = ?1 AND standing <> 2";

/// The accounts that lose access between two snapshots, the current one first.
pub(super) async fn losers(
    store: &Store,
    app: &AppKey,
    slug: &str,
    [present, last]: [i64; 2],
    after: Option<&str>,
) -> Result<Losers, Error> {
    let rows: Vec<(String, Vec<u8>, Vec<u8>, i64)> = sqlx::query_as(DIFFER)
        .bind(present)
        .bind(last)
        .bind(after.unwrap_or_default())
        .bind(after)
        .bind(app.as_str())
        .bind(slug)
        .bind(i64::try_from(PIECE).unwrap_or(i64::MAX))
        .fetch_all(store.readers())
        .await
        .map_err(|error| store.fault(error))?;
    let next = rows.last().filter(|_| rows.len() == PIECE).map(|(id, ..)| id.clone());
    let mut losers = Vec::new();
    for (id, before, now, by_tasks) in rows {
        let loss = loss(app, &before, &now, by_tasks)?;
        if loss.deactivated || loss.refs > 0 {
            losers.push(Loser { id, loss });
        }
    }
    Ok(Losers { losers, next })
}

/// The access lost between two records, except what tasks changed as `by_tasks` says.
pub(crate) fn loss(app: &AppKey, before: &[u8], now: &[u8], by_tasks: i64) -> Result<AccessLoss, Error> {
    let facts = |bytes: &[u8]| {
        AccessFacts::from_bytes(bytes).ok_or_else(|| Error::Unreadable {
            what: format!("what access a record of app {app} had"),
            detail: "its length is wrong".to_owned(),
        })
    };
    let mut loss = facts(now)?.loss_since(&facts(before)?);
    loss.deactivated &= by_tasks & STATUS == 0;
    if by_tasks & MEMBERSHIPS != 0 {
        loss.refs = 0;
    }
    Ok(loss)
}

/// The access in a snapshot.
pub(super) async fn base(store: &Store, last: i64) -> Result<AccessBase, Error> {
    let (active, with_refs, unknown): (i64, i64, i64) = sqlx::query_as(BASE)
        .bind(last)
        .fetch_one(store.readers())
        .await
        .map_err(|error| store.fault(error))?;
    Ok(AccessBase {
        active: active.unsigned_abs(),
        with_refs: with_refs.unsigned_abs(),
        unknown: unknown.unsigned_abs(),
    })
}

/// The number of records of a type with this kind of loss since an instant.
pub(super) async fn since(
    store: &Store,
    app: &AppKey,
    slug: &str,
    kind: LossKind,
    since: Timestamp,
) -> Result<u64, Error> {
    let lost: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(records), 0) FROM removals WHERE app = ?1 AND slug = ?2 AND at >= ?3 AND kind = ?4",
    )
    .bind(app.as_str())
    .bind(slug)
    .bind(time::to_column(since))
    .bind(kind.as_str())
    .fetch_one(store.readers())
    .await
    .map_err(|error| store.fault(error))?;
    Ok(lost.unsigned_abs())
}

pub(crate) fn to_column(losses: &[LossCount]) -> Option<String> {
    if losses.is_empty() { None } else { serde_json::to_string(losses).ok() }
}

pub(crate) fn from_column(column: Option<&str>) -> Result<Vec<LossCount>, Error> {
    column.map_or(Ok(Vec::new()), |column| {
        serde_json::from_str(column).map_err(|error| Error::Unreadable {
            what: "what the sync that was being completed takes away".to_owned(),
            detail: format!("line {}, column {}", error.line(), error.column()),
        })
    })
}
