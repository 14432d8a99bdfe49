//! Reads and validates everything that a sync would push, and passes it to the caller instead.

use std::collections::BTreeMap;
use std::sync::Arc;

use bridgehead_sdk::{Record, ResourceType};
use tokio_util::sync::CancellationToken;

use super::phases::Preparing;
use super::record::Extent;
use super::sync_run::SyncRun;
use super::validate;
use super::{Error, InvalidRecord, Options};
use crate::app::AppContext;

/// Receives the records of a type as they arrive; returns `false` to stop.
pub(crate) type Take = Box<dyn Fn(&ResourceType, &[Record]) -> bool + Send + std::marker::Sync>;

/// The result of an export.
#[derive(Debug, Default)]
pub struct Export {
    /// Why reading ended early, if it did.
    pub error: Option<String>,
    /// The number of valid records of each type.
    pub records: BTreeMap<String, u64>,
    /// The number of records that would not be pushed because they are invalid.
    pub invalid_count: u64,
    /// The first invalid records.
    pub invalid: Vec<InvalidRecord>,
    /// The evidence that each listing is complete; `none` if there is none.
    pub evidence: BTreeMap<String, String>,
}

/// Reads every resource type of the target.
pub(crate) async fn run(app: &Arc<AppContext>, take: Take, stop: &CancellationToken) -> Export {
    let touched = app.changes.begin();
    let options = Options { dry_run: true, ..Options::default() };
    let mut sync = SyncRun::new(app, options, &touched);
    sync.take = Some(take);
    let read = tokio::select! {
        biased;
        read = read_all(&mut sync) => read,
        () = stop.cancelled() => Err(Error::ShuttingDown),
    };
    let record = sync.record;
    let mut records = BTreeMap::new();
    if record.extent() > Extent::Nothing {
        for of in &record.offer.types {
            let slug = of.slug.to_string();
            let count = app.snapshots.seen_count(&app.key, &slug).await.unwrap_or_default();
            records.insert(slug, count);
        }
    }
    Export {
        error: read.err().map(|error| app.shared.redactor.redact(&error.to_string()).into_owned()),
        records,
        invalid_count: record.invalid.count,
        invalid: record.invalid.kept,
        evidence: record.evidence,
    }
}

async fn read_all(sync: &mut SyncRun<'_>) -> Result<(), Error> {
    let mut preparing = Preparing::new(sync);
    preparing.learn_types().await?;
    preparing.begin_listing(None).await?.read().await.map(drop)
}

/// The validation error of a record, as far as the record alone can show it.
pub(crate) fn problem_of(record: &Record, of: &ResourceType, types: &[ResourceType]) -> Option<String> {
    let kinds = types.iter().map(|of| (of.slug.to_string(), of.kind)).collect();
    validate::check(record, of, &kinds).err().map(|problem| format!("{} {}", problem.field, problem.rule))
}
