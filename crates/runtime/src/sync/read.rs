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

/// After this many consecutive pages whose records were all on one earlier page, a listing goes in circles.
const MOST_REPEATED: usize = 20;

/// After this many consecutive pages without any record, a listing is considered endless. A connector may return empty pages while it reads
/// something else first.
const MOST_EMPTY: usize = 100_000;

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
        let reader = Reader {
            app: Arc::clone(app),
            of: of.clone(),
            cursor: None,
            seen: HashSet::new(),
            circle: Circle::default(),
        };
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
    circle: Circle,
}

/// Recognizes a listing that returns the same pages again and again, under cursors that always differ.
#[derive(Debug, Default)]
struct Circle {
    /// Hashes of the pages with records: eight bytes per page.
    pages: HashSet<u64>,
    /// The number of consecutive pages that an earlier page equals, and below of those without any record.
    repeated: usize,
    empty: usize,
}

impl Circle {
    /// Adds a page; if the listing does not end with it, returns why it will never end.
    fn add(&mut self, page: &Page) -> Option<String> {
        let rejected = page.rejected.iter().map(|rejected| rejected.id.as_deref());
        let ids: Option<Vec<&str>> =
            page.records.iter().map(|record| Some(record.id())).chain(rejected).collect();
        // Records without an id cannot be recognized, so such a page counts as new.
        let (is_empty, is_new) = match ids {
            Some(ids) if ids.is_empty() => (true, true),
            Some(ids) => {
                // A sum, because the order may differ.
                let hashes = ids.iter().map(|id| xxh3_64(id.as_bytes()));
                (false, self.pages.insert(hashes.fold(0, u64::wrapping_add)))
            }
            None => (false, true),
        };
        match (is_empty, is_new) {
            (true, _) => self.empty += 1,
            (false, true) => (self.repeated, self.empty) = (0, 0),
            (false, false) => (self.repeated, self.empty) = (self.repeated + 1, 0),
        }
        page.next.as_ref()?;
        if self.repeated >= MOST_REPEATED {
            return Some(format!(
                "the last {} pages repeat earlier ones, and there is another page",
                self.repeated
            ));
        }
        (self.empty >= MOST_EMPTY)
            .then(|| format!("the last {} pages are empty, and there is another page", self.empty))
    }
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
        if let Some(why) = self.circle.add(&page) {
            let message = format!("{why}, so it has no end");
            return Err(Error::Unreadable { slug: self.of.slug.to_string(), message });
        }
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

#[cfg(test)]
mod tests {
    use bridgehead_sdk::{AccountRecord, RejectedRecord};

    use super::*;

    fn page(ids: &[&str]) -> Page {
        let records = ids.iter().map(|id| AccountRecord::new(*id).into());
        Page::with_next(records.collect(), Cursor::new("always another"))
    }

    /// After how many of these pages, which follow one another in a circle, the listing is given up.
    fn given_up_after(pages: &[Page], most: usize) -> Option<usize> {
        let mut circle = Circle::default();
        (1..=most)
            .zip(pages.iter().cycle())
            .find(|(_, page)| circle.add(page).is_some())
            .map(|(count, _)| count)
    }

    #[test]
    fn same_pages_in_any_order_are_a_circle() {
        assert_eq!(given_up_after(&[page(&["a", "b"])], 100), Some(21));
        assert_eq!(given_up_after(&[page(&["a", "b"]), page(&["b", "a"])], 100), Some(21));
        let three = [page(&["a"]), page(&[]), page(&["b"]), page(&["c"])];
        assert_eq!(given_up_after(&three, 100), Some(31), "empty pages in between change nothing");
    }

    #[test]
    fn listing_of_new_records_is_no_circle() {
        let ids: Vec<String> = (0..500).map(|n| n.to_string()).collect();
        let new: Vec<Page> = ids.iter().map(|id| page(&["same", id])).collect();
        assert_eq!(given_up_after(&new, 500), None);
        // It is unknown whether these are the same.
        let nameless = page(&[]).with_rejected(vec![RejectedRecord::new(None, "id", "present")]);
        assert_eq!(given_up_after(&[nameless], 500), None);
    }

    #[test]
    fn last_page_ends_a_listing_whatever_was_before() {
        let mut circle = Circle::default();
        for _ in 0..21 {
            circle.add(&page(&["a"]));
        }
        assert_eq!(
            circle.add(&Page::last(vec![AccountRecord::new("a").into()], bridgehead_sdk::Evidence::Atomic)),
            None
        );
    }

    #[test]
    fn empty_pages_are_allowed_for_long_but_not_forever() {
        assert_eq!(given_up_after(&[page(&[])], 200_000), Some(100_000));
    }
}
