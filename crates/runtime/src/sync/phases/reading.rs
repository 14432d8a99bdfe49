//! The second phase: reads the target page by page, and pushes the records.

use super::Reconciling;
use crate::sync::Error;
use crate::sync::ingest::Ingest;
use crate::sync::record::Extent;
use crate::sync::sync_run::SyncRun;
use bridgehead_store::Shown;

/// A sync whose listing has started. Accounts not listed yet may still follow, so missing ones cannot be determined.
#[derive(Debug)]
pub struct Reading<'r, 'a> {
    ingest: Ingest<'r, 'a>,
    /// What the operator had seen before.
    shown: Option<Shown>,
}

impl<'r, 'a> Reading<'r, 'a> {
    pub(super) fn new(run: &'r mut SyncRun<'a>, shown: Option<Shown>) -> Self {
        Self { ingest: Ingest::new(run), shown }
    }

    /// Reads every type completely.
    pub(in crate::sync) async fn read(mut self) -> Result<Reconciling<'r, 'a>, Error> {
        for of in self.ingest.run.record.offer.types.clone() {
            self.ingest.sync_type(&of).await?;
        }
        self.ingest.run.record.reach(Extent::Whole);
        Ok(Reconciling::new(self.ingest, self.shown))
    }
}
