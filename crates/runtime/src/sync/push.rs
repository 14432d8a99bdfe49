//! Pushes records in pages of at most 100, several pages concurrently, and finds the invalid records of a rejected page.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridgehead_sdk::Slug;
use tokio::task::JoinSet;

use super::Error;
use crate::app::AppContext;
use crate::upstream::Patience;
use bridgehead_bridge::{self as bridge, BrokenRule, Operation, Pushed, SyncId, WireRecord};

/// "At most 100 records a page" (API reference).
const PAGE: usize = 100;

/// How long one page is retried while the Bridge does not respond; after that, the sync ends, and the next one follows on schedule.
const PATIENCE: Duration = Duration::from_mins(15);

/// A record that Iden rejected, with its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) id: String,
    pub(super) detail: String,
}

/// The result of a page.
#[derive(Debug, Default)]
struct PageResult {
    tally: PushCount,
    refused: Vec<Refused>,
    /// Collided with another page that was under way, perhaps: to be sent again alone.
    again: Vec<Vec<WireRecord>>,
}

/// The pages of a type that were sent, and Iden's responses to them, counted in records. Accepted records that are sent twice count twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PushCount {
    /// Counted before a page is sent for the first time: Iden may have its records, whatever happens after that.
    pub(super) sent: u64,
    pub(super) accepted: u64,
    /// New to Iden, as far as reported.
    pub(super) created: u64,
    /// Already known to Iden, as far as reported. Records that are pushed again because a task has changed them do not count.
    pub(super) updated: u64,
}

/// The counts of all types by slug, shared so that they survive an aborted sync.
#[derive(Clone, Debug, Default)]
pub(super) struct PushCounts(Arc<Mutex<BTreeMap<String, PushCount>>>);

impl PushCounts {
    fn add(&self, slug: &str, tally: PushCount) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(slug.to_owned()).or_default().add(tally);
    }

    pub(super) fn of(&self, slug: &str) -> PushCount {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(slug).copied().unwrap_or_default()
    }

    pub(super) fn sum(&self) -> PushCount {
        let mut sum = PushCount::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(|tally| sum.add(*tally));
        sum
    }
}

impl PushCount {
    /// The response to a repeated page does not show what Iden knew before: the first request may have been processed.
    fn of(records: usize, pushed: Pushed) -> Self {
        let told = |figure: Option<u64>| if pushed.repeated { 0 } else { figure.unwrap_or(0) };
        let (created, updated) = (told(pushed.created), told(pushed.updated));
        Self { sent: 0, accepted: records as u64, created, updated }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.created += other.created;
        self.updated += other.updated;
    }
}

/// Pushes the records of one resource type. A separate task sends each page.
///
/// Cancel: dropping this aborts running requests, and Iden may have accepted any of them; earlier responses are in the shared counts.
/// Error: the first error of a page ends the type. Panic: a panic while sending a page is an error of the sync.
pub(super) struct PushPipeline {
    app: Arc<AppContext>,
    session: SyncId,
    slug: Slug,
    buffer: Vec<WireRecord>,
    under_way: JoinSet<Result<PageResult, Error>>,
    refused: Vec<Refused>,
    again: Vec<Vec<WireRecord>>,
    tallies: PushCounts,
    /// Tasks have changed these records. That Iden knows them shows nothing: this sync or the task's report has told it.
    catches_up: bool,
}

impl PushPipeline {
    pub(super) fn new(app: &Arc<AppContext>, session: SyncId, slug: Slug, tallies: PushCounts) -> Self {
        Self {
            app: Arc::clone(app),
            session,
            slug,
            buffer: Vec::with_capacity(PAGE),
            under_way: JoinSet::new(),
            refused: Vec::new(),
            again: Vec::new(),
            tallies,
            catches_up: false,
        }
    }

    pub(super) fn catching_up(mut self, catches_up: bool) -> Self {
        self.catches_up = catches_up;
        self
    }

    /// Adds records; complete pages are sent in the background, `push_concurrency` of them at the same time.
    pub(super) async fn push(&mut self, records: Vec<WireRecord>) -> Result<(), Error> {
        for record in records {
            self.buffer.push(record);
            if self.buffer.len() == PAGE {
                let page = std::mem::replace(&mut self.buffer, Vec::with_capacity(PAGE));
                self.send(page).await?;
            }
        }
        Ok(())
    }

    /// Sends the remaining records and waits for all responses. Returns the records that Iden rejected.
    pub(super) async fn flush(&mut self) -> Result<Vec<Refused>, Error> {
        if !self.buffer.is_empty() {
            let page = std::mem::take(&mut self.buffer);
            self.send(page).await?;
        }
        while self.collect_one().await? {}
        for page in std::mem::take(&mut self.again) {
            let sent = send(&self.app, &self.session, &self.slug, page, true).await?;
            self.account(sent);
        }
        Ok(std::mem::take(&mut self.refused))
    }

    /// Waits for the responses to the pages that were sent, until one is an error.
    pub(super) async fn settle(&mut self) {
        while matches!(self.collect_one().await, Ok(true)) {}
    }

    async fn send(&mut self, page: Vec<WireRecord>) -> Result<(), Error> {
        while self.under_way.len() >= self.app.settings.sync.push_concurrency {
            self.collect_one().await?;
        }
        self.tallies.add(self.slug.as_str(), PushCount { sent: page.len() as u64, ..PushCount::default() });
        let (app, session, slug) = (Arc::clone(&self.app), self.session.clone(), self.slug.clone());
        self.under_way.spawn(async move { Box::pin(send(&app, &session, &slug, page, false)).await });
        Ok(())
    }

    async fn collect_one(&mut self) -> Result<bool, Error> {
        match self.under_way.join_next().await {
            None => Ok(false),
            Some(Ok(sent)) => {
                self.account(sent?);
                Ok(true)
            }
            Some(Err(panicked)) => {
                Err(Error::SessionLost { detail: format!("a push ended unexpectedly: {panicked}") })
            }
        }
    }

    fn account(&mut self, mut sent: PageResult) {
        let slug = self.slug.as_str();
        if self.catches_up {
            sent.tally.updated = 0;
        }
        self.tallies.add(slug, sent.tally);
        self.app.status.sync_progress(|progress| {
            *progress.pushed.entry(slug.to_owned()).or_default() += sent.tally.accepted;
        });
        self.refused.extend(sent.refused);
        self.again.extend(sent.again);
    }
}

/// Sends a page. If its contents are rejected, it is split until the invalid records are isolated.
async fn send(
    app: &AppContext,
    session: &SyncId,
    slug: &Slug,
    page: Vec<WireRecord>,
    alone: bool,
) -> Result<PageResult, Error> {
    let mut sent = PageResult::default();
    let mut pages = VecDeque::from([page]);
    while let Some(mut page) = pages.pop_front() {
        match send_once(app, session, slug, &page).await? {
            Answer::Accepted(pushed) => sent.tally.add(PushCount::of(page.len(), pushed)),
            Answer::Refused { rule: BrokenRule::Duplicate, .. } if !alone => sent.again.push(page),
            Answer::Refused { detail, .. } if page.len() == 1 => {
                sent.refused.extend(page.pop().map(|record| Refused { id: record.id().to_owned(), detail }));
            }
            Answer::Refused { .. } => {
                let rest = page.split_off(page.len() / 2);
                pages.push_front(rest);
                pages.push_front(page);
            }
        }
    }
    Ok(sent)
}

/// Iden's response to a page.
enum Answer {
    Accepted(Pushed),
    /// The contents were rejected, with the reason.
    Refused {
        rule: BrokenRule,
        detail: String,
    },
}

/// Sends a page until it is accepted, or its contents are rejected.
async fn send_once(
    app: &AppContext,
    session: &SyncId,
    slug: &Slug,
    page: &[WireRecord],
) -> Result<Answer, Error> {
    let repeated = AtomicBool::new(false);
    let answer = app.upstream.call(
        Operation::Push,
        Patience::within(PATIENCE),
        |bridge| bridge.push(app.id, session, slug, page),
        |failed| {
            let (error, wait) = (failed.error, failed.wait);
            tracing::warn!(app = %app.name, resource_type = %slug, %error, ?wait, "a page could not be pushed; retrying");
            repeated.store(true, Relaxed);
        },
    );
    let error = match answer.await {
        Ok(pushed) => {
            let repeated = pushed.repeated || repeated.load(Relaxed);
            return Ok(Answer::Accepted(Pushed { repeated, ..pushed }));
        }
        Err(error) => error,
    };
    let refused = |detail| Answer::Refused { rule: BrokenRule::Other, detail };
    match error {
        bridge::Error::Unprocessable { rule, detail, .. } => Ok(Answer::Refused { rule, detail }),
        bridge::Error::Unexpected { status: 413, .. } => Ok(refused("the record is too large".to_owned())),
        bridge::Error::BadRequest { detail, .. } => {
            // According to the documents, 400 means an invalid record or a session that has ended.
            let progress =
                app.upstream.ask(Operation::Progress, |bridge| bridge.progress(app.id, session)).await;
            let progress = progress.map_err(Error::bridge("checking the sync session"))?;
            if !progress.status.is_running() {
                let detail = format!("its status is '{}'", progress.status);
                return Err(Error::SessionLost { detail });
            }
            Ok(refused(detail))
        }
        bridge::Error::NotFound { from_bridge: true, .. } | bridge::Error::Conflict { .. } => {
            Err(Error::SessionLost { detail: error.to_string() })
        }
        error => Err(Error::Bridge { what: "pushing a page", source: error }),
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::{AccountRecord, async_trait};

    use super::*;
    use crate::fakes::{Place, Script};
    use bridgehead_bridge::{Call, Operation, Refs};

    /// A Bridge that returns these responses, the last one first, and records each time whether the app's access counts as refused.
    #[derive(Default)]
    struct Answers {
        left: Mutex<Vec<Result<Pushed, bridge::Error>>>,
        app: Mutex<Option<Arc<AppContext>>>,
        refused: Mutex<Vec<bool>>,
    }

    #[async_trait]
    impl Script for Answers {
        async fn push(&self, _: &Slug, _: &[WireRecord]) -> Result<Pushed, bridge::Error> {
            let app = self.app.lock().unwrap().clone().unwrap();
            self.refused.lock().unwrap().push(app.upstream.refused().is_some());
            self.left.lock().unwrap().pop().unwrap()
        }
    }

    #[test]
    fn unanswered_page_does_not_restore_access() {
        let call = || Call::new(Operation::Push, None);
        let script = Arc::new(Answers::default());
        *script.left.lock().unwrap() = vec![
            Ok(Pushed::default()),
            Err(bridge::Error::Server { call: call(), status: 502, retry_after: None }),
            Err(bridge::Error::NoAnswer { call: call(), cause: "reset".into() }),
            Err(bridge::Error::Unauthorized { call: call() }),
        ];
        let place = Place::new();
        let app = place.app(&script);
        *script.app.lock().unwrap() = Some(Arc::clone(&app));
        place.runtime.block_on(async {
            tokio::time::pause();
            let slug = Slug::from("account");
            let answer = send_once(&app, &SyncId::new("s"), &slug, &[]).await.unwrap();
            assert!(matches!(answer, Answer::Accepted(_)));
        });
        assert_eq!(*script.refused.lock().unwrap(), [false, true, true, true]);
        assert!(app.upstream.refused().is_none());
        script.app.lock().unwrap().take();
    }

    /// Otherwise the first sync of a small app looks like one whose state was lost, and is held, if tasks change its accounts meanwhile.
    #[test]
    fn accounts_changed_by_tasks_do_not_count_as_known_to_iden_before() {
        for catches_up in [false, true] {
            let script = Arc::new(Answers::default());
            let answer = Pushed { created: Some(1), updated: Some(2), ..Pushed::default() };
            script.left.lock().unwrap().push(Ok(answer));
            let place = Place::new();
            let app = place.app(&script);
            *script.app.lock().unwrap() = Some(Arc::clone(&app));
            let counts = PushCounts::default();
            place.runtime.block_on(async {
                let new = PushPipeline::new(&app, SyncId::new("s"), "account".into(), counts.clone());
                let mut pusher = new.catching_up(catches_up);
                let records = (0..3).map(|n| AccountRecord::new(format!("u{n}")).with_username("u").into());
                let records = records.map(|record| WireRecord::of(&record, Refs::Id).unwrap());
                pusher.push(records.collect()).await.unwrap();
                assert!(pusher.flush().await.unwrap().is_empty());
            });
            let updated = if catches_up { 0 } else { 2 };
            assert_eq!(counts.sum(), PushCount { sent: 3, accepted: 3, created: 1, updated });
            script.app.lock().unwrap().take();
        }
    }
}
