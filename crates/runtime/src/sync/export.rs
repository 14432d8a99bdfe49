//! Everything that a sync would push, read and checked as a sync does it, and given away instead.

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

/// Takes the records of a type as they come; `false` if it cannot take more.
pub(crate) type Take = Box<dyn Fn(&ResourceType, &[Record]) -> bool + Send + std::marker::Sync>;

/// What was read.
#[derive(Debug, Default)]
pub struct Export {
    /// Why it was not read to its end, if so.
    pub error: Option<String>,
    /// How many good records there are of each type.
    pub records: BTreeMap<String, u64>,
    /// How many would not be pushed because they break a rule.
    pub invalid_count: u64,
    /// The first of them.
    pub invalid: Vec<InvalidRecord>,
    /// What shows that each listing was read to its end; `none` where nothing does.
    pub evidence: BTreeMap<String, String>,
}

/// Reads every type of the target.
pub(crate) async fn run(app: &Arc<AppContext>, take: Take, stop: &CancellationToken) -> Export {
    let touched = app.activity.begin();
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
            let count = app.listings.seen_count(&app.key, &slug).await.unwrap_or_default();
            records.insert(slug, count);
        }
    }
    Export {
        error: read.err().map(|error| app.redactor.redact(&error.to_string()).into_owned()),
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

/// What is wrong with a record, as far as it shows by the record alone.
pub(crate) fn problem_of(record: &Record, of: &ResourceType, types: &[ResourceType]) -> Option<String> {
    let kinds = types.iter().map(|of| (of.slug.to_string(), of.kind)).collect();
    validate::check(record, of, &kinds).err().map(|problem| format!("{} {}", problem.field, problem.rule))
}
