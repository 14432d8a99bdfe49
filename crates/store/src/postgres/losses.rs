//! Finds accounts that lose access without being removed, and counts recent losses.

use jiff::Timestamp;

use super::super::sqlite::losses::loss;
use super::super::sqlite::time;
use super::super::{AccessBase, AppKey, Error, Loser, Losers, LossKind};
use super::open::Postgres;
use super::text;

/// The number of records with different access that are compared at a time.
const PIECE: usize = 500;

/// Records in both snapshots with different access, starting after id $4; $1 is the current snapshot.
const DIFFER: &str = "SELECT one.id, other.facts, one.facts, coalesce(changes.kinds, 0) FROM records AS one \
     JOIN records AS other ON other.listing = $2 AND other.id = one.id AND other.facts IS NOT NULL \
     AND other.facts <> one.facts AND other.standing <> 2 \
     LEFT JOIN changes ON changes.app = $5 AND changes.slug = $6 AND changes.id = one.id \
     WHERE one.listing = $1 AND one.facts IS NOT NULL AND one.id >= $3 AND one.id IS DISTINCT FROM $4 \
     ORDER BY one.id LIMIT $7";

const BASE: &str = "SELECT count(CASE WHEN substr(facts, 1, 1) = '\\x01'::bytea THEN 1 END), \
     count(CASE WHEN length(facts) > 1 THEN 1 END), count(CASE WHEN facts IS NULL AND standing <> 3 THEN 1 END) \
     FROM records WHERE listing = $1 AND standing <> 2";

/// An id, its previous and current access, and which changes tasks made.
type Row = (Vec<u8>, Vec<u8>, Vec<u8>, i64);

/// The accounts that lose access between two snapshots, the current one first.
pub(super) async fn losers(
    state: &Postgres,
    app: &AppKey,
    slug: &str,
    [present, last]: [i64; 2],
    after: Option<&str>,
) -> Result<Losers, Error> {
    let rows: Vec<Row> = sqlx::query_as(DIFFER)
        .bind(present)
        .bind(last)
        .bind(after.unwrap_or_default().as_bytes())
        .bind(after.map(str::as_bytes))
        .bind(app.as_str())
        .bind(slug.as_bytes())
        .bind(i64::try_from(PIECE).unwrap_or(i64::MAX))
        .fetch_all(state.readers())
        .await
        .map_err(|error| state.fault(error))?;
    let what = || format!("the id of a record of app {app}");
    let next = rows.last().filter(|_| rows.len() == PIECE).map(|(id, ..)| id.clone());
    let next = next.map(|id| text::from_column(id, &what)).transpose()?;
    let mut losers = Vec::new();
    for (id, before, now, by_tasks) in rows {
        let loss = loss(app, &before, &now, by_tasks)?;
        if loss.deactivated || loss.refs > 0 {
            losers.push(Loser { id: text::from_column(id, &what)?, loss });
        }
    }
    Ok(Losers { losers, next })
}

/// The access in a snapshot.
pub(super) async fn base(state: &Postgres, last: i64) -> Result<AccessBase, Error> {
    let (active, with_refs, unknown): (i64, i64, i64) = sqlx::query_as(BASE)
        .bind(last)
        .fetch_one(state.readers())
        .await
        .map_err(|error| state.fault(error))?;
    Ok(AccessBase {
        active: active.unsigned_abs(),
        with_refs: with_refs.unsigned_abs(),
        unknown: unknown.unsigned_abs(),
    })
}

/// The number of records of a type with this kind of loss since an instant.
pub(super) async fn since(
    state: &Postgres,
    app: &AppKey,
    slug: &str,
    kind: LossKind,
    since: Timestamp,
) -> Result<u64, Error> {
    let lost: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(records), 0)::bigint FROM removals WHERE app = $1 AND slug = $2 AND at >= $3 AND kind = $4",
    )
    .bind(app.as_str())
    .bind(slug.as_bytes())
    .bind(time::to_column(since))
    .bind(kind.as_str())
    .fetch_one(state.readers())
    .await
    .map_err(|error| state.fault(error))?;
    Ok(lost.unsigned_abs())
}
