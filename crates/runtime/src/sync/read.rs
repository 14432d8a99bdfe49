//! Reads the target page by page, ahead of the processing of those pages.

use std::collections::HashSet;
use std::sync::Arc;

use bridgehead_resilience::Next;
use bridgehead_sdk::{Code, Cursor, Page, ResourceType, Retry};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;
use xxhash_rust::xxh3::xxh3_64;

use super::Error;
use super::evidence::Testimony;
use crate::app::AppContext;
use crate::policies;
use crate::target::Priority;

/// How many pages are read in advance, including the one being read.
const AHEAD: usize = 2;

/// One listing, from its first page to its proven end.
pub(super) struct Listing {
    slug: String,
    pages: mpsc::Receiver<Result<Page, Error>>,
    is_over: bool,
    /// What the pages reported about the size and the end of the listing.
    pub(super) testimony: Testimony,
    _reader: AbortOnDropHandle<()>,
}

impl Listing {
    /// Starts reading.
    pub(super) fn new(app: &Arc<AppContext>, of: &ResourceType) -> Self {
        let (sender, pages) = mpsc::channel(AHEAD);
        let reader = Reader { app: Arc::clone(app), of: of.clone(), cursor: None, seen: HashSet::new() };
        let reader = AbortOnDropHandle::new(tokio::spawn(reader.run(sender).in_current_span()));
        let slug = of.slug.to_string();
        Self { slug, pages, is_over: false, testimony: Testimony::default(), _reader: reader }
    }

    /// Returns the next page, or `None` after the last. An error means that the listing was not read to its end. Cancel safe: dropping the
    /// future loses no page.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Error> {
        if self.is_over {
            return Ok(None);
        }
        // Only a last page ends a listing. If the reader is gone, it has not seen one.
        let Some(page) = self.pages.recv().await else {
            let message = "reading it ended unexpectedly".to_owned();
            return Err(Error::Unreadable { slug: self.slug.clone(), message });
        };
        let page = page?;
        self.testimony.hear(&page);
        self.is_over = page.next.is_none();
        Ok(Some(page))
    }
}

/// Reads one page after another.
///
/// Cancel: the connector call in progress is dropped. Error: it is passed on, and reading ends. Panic: the listing has no end, which is an
/// error of the sync.
struct Reader {
    app: Arc<AppContext>,
    of: ResourceType,
    cursor: Option<Cursor>,
    /// Hashes of the cursors seen so far: eight bytes per page.
    seen: HashSet<u64>,
}

impl Reader {
    async fn run(mut self, pages: mpsc::Sender<Result<Page, Error>>) {
        // A page is only read when there is room for it, so no more than [`AHEAD`] pages wait in memory. An error means that the listing
        // was dropped.
        while let Ok(room) = pages.reserve().await {
            let page = self.next().await;
            let is_last = page.as_ref().map_or(true, |page| page.next.is_none());
            room.send(page);
            if is_last {
                return;
            }
        }
    }

    async fn next(&mut self) -> Result<Page, Error> {
        let page = self.read().await?;
        if let Some(next) = &page.next {
            if !self.seen.insert(xxh3_64(next.as_str().as_bytes())) {
                return Err(Error::RepeatedCursor {
                    slug: self.of.slug.to_string(),
                    pages: self.seen.len() + 1,
                });
            }
            self.cursor = Some(next.clone());
        }
        Ok(page)
    }

    /// Reads one page. Retries temporary errors for as long as a task would.
    async fn read(&self) -> Result<Page, Error> {
        let (app, settings) = (&self.app, &self.app.settings.tasks);
        let shown = |error: &bridgehead_sdk::Error| app.shared.redactor.redact(error.message()).into_owned();
        let retry = app.retry(policies::TARGET).give_up_after(settings.give_up_after);
        let list = |_| async {
            app.target.list(&self.of, self.cursor.as_ref(), settings.timeout, Priority::Sync).await
        };
        let next = |error: &bridgehead_sdk::Error| match error.retry() {
            Retry::Never if error.code() != Code::Timeout => Next::GiveUp,
            Retry::After(after) => Next::RetryAfter(after),
            _ => Next::Retry,
        };
        let page = retry.run(list, next, |failed| {
            tracing::warn!(app = %app.name, resource_type = %self.of.slug, wait = ?failed.wait, "a page could not be read: {}; retrying",
                shown(failed.error));
        });
        page.await
            .map_err(|error| Error::Unreadable { slug: self.of.slug.to_string(), message: shown(&error) })
    }
}
