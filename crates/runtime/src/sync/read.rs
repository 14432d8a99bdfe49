//! Reads the target page by page.

use bridgehead_resilience::Next;
use bridgehead_sdk::{Code, Cursor, Page, ResourceType, Retry};
use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_64;

use super::Error;
use super::evidence::Testimony;
use crate::app::AppContext;
use crate::policies;
use crate::target::Priority;

/// One listing, from its first page to its end.
pub(super) struct Listing<'a> {
    app: &'a AppContext,
    of: &'a ResourceType,
    cursor: Option<Cursor>,
    /// Hashes of the cursors seen so far: eight bytes per page.
    seen: HashSet<u64>,
    is_over: bool,
    /// What the pages reported about the size and the end of the listing.
    pub(super) testimony: Testimony,
}

impl<'a> Listing<'a> {
    pub(super) fn new(app: &'a AppContext, of: &'a ResourceType) -> Self {
        Self { app, of, cursor: None, seen: HashSet::new(), is_over: false, testimony: Testimony::default() }
    }

    /// Returns the next page, or `None` after the last. After an error, the listing is incomplete.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let page = self.read().await?;
        self.testimony.hear(&page);
        match &page.next {
            None => self.is_over = true,
            Some(next) => {
                if !self.seen.insert(xxh3_64(next.as_str().as_bytes())) {
                    return Err(Error::RepeatedCursor {
                        slug: self.of.slug.to_string(),
                        pages: self.seen.len() + 1,
                    });
                }
                self.cursor = Some(next.clone());
            }
        }
        Ok(Some(page))
    }

    /// Reads one page. Retries temporary errors for as long as a task would.
    async fn read(&self) -> Result<Page, Error> {
        let (app, settings) = (self.app, &self.app.settings.tasks);
        let shown = |error: &bridgehead_sdk::Error| app.redactor.redact(error.message()).into_owned();
        let retry = app.retry(policies::TARGET).give_up_after(settings.give_up_after);
        let list = |_| async {
            app.target.list(self.of, self.cursor.as_ref(), settings.timeout, Priority::Sync).await
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
