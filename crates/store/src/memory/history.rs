//! Statistics over time.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::history::KEPT;
use super::super::{AppKey, Error, HistoryStore, Hour, RecordedRun};
use super::Memory;
use super::instant::kept;

/// The hours of an app.
#[derive(Default)]
pub(super) struct Hours(BTreeMap<Timestamp, Hour>);

impl Hours {
    fn set(&mut self, hour: &Hour) {
        let at = kept(hour.at);
        self.0.insert(at, Hour { at, ..hour.clone() });
        let forgotten = kept(at.saturating_sub(KEPT).unwrap_or(Timestamp::MIN));
        self.0.retain(|at, _| *at >= forgotten);
    }
}

#[async_trait]
impl HistoryStore for Memory {
    async fn set_hour(&self, app: &AppKey, hour: &Hour) -> Result<(), Error> {
        self.change(app, |app| app.hours.set(hour))
    }

    async fn hours(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Hour>, Error> {
        self.look(app, |app| app.hours.0.range(kept(since)..).map(|(_, hour)| hour.clone()).collect())
    }

    async fn recorded_runs(&self, app: &AppKey) -> Result<Vec<RecordedRun>, Error> {
        self.look(app, |app| app.syncs.recorded().cloned().collect())
    }

    async fn recorded_run(&self, app: &AppKey, id: u64) -> Result<Option<RecordedRun>, Error> {
        self.look(app, |app| app.syncs.recorded().find(|run| run.id == id).cloned())
    }
}
