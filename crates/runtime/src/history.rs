//! Hourly statistics of apps for charts: only numbers, never names.
//!
//! [`Recent`] counts in memory. A [`Recorder`] adds these counts to the current hour and writes the hour, once a minute and at shutdown. A
//! process that is killed loses only the last minute of statistics: tasks and syncs are stored separately.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridgehead_sdk::Code;
use futures::StreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::app::AppContext;
use super::fleet::Fleet;
use super::reporter::StatusReporter;
use super::sync::{Digest, HeldReason, LossSummary, Summary, SyncResult};
use bridgehead_store::{AppKey, Error, HistoryStore, Hour, RecordedRun};

/// How often the current hour is written.
const EVERY: Duration = Duration::from_mins(1);
/// The maximum number of apps whose hours are written at the same time.
const AT_ONCE: usize = 64;

/// Counts since the last write.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Since>);

#[derive(Debug, Default)]
struct Since {
    counts: Hour,
    /// When Iden created the oldest task that is pending and due.
    oldest_pending: Option<Timestamp>,
}

impl Recent {
    pub(crate) fn completed(&self) {
        self.since().counts.completed += 1;
    }

    pub(crate) fn failed(&self, code: Code) {
        *self.since().counts.failed.entry(code.as_str().to_owned()).or_default() += 1;
    }

    pub(crate) fn retried(&self) {
        self.since().counts.retried += 1;
    }

    pub(crate) fn took(&self, time: Duration) {
        self.since().counts.took(time.as_secs_f64());
    }

    pub(crate) fn held(&self, tasks: u64) {
        let mut since = self.since();
        since.counts.held = since.counts.held.max(tasks);
    }

    /// Records that the list of pending tasks was read completely.
    pub(crate) fn listed(&self, oldest: Option<Timestamp>, now: Timestamp) {
        let mut since = self.since();
        since.oldest_pending = oldest;
        since.age(now);
    }

    pub(crate) fn oldest_pending(&self) -> Option<Timestamp> {
        self.since().oldest_pending
    }

    /// Takes the counts so far.
    fn take(&self, held: u64, now: Timestamp) -> Hour {
        let mut since = self.since();
        since.counts.held = since.counts.held.max(held);
        since.age(now);
        std::mem::take(&mut since.counts)
    }

    /// Restores counts that could not be written, so that the next write includes them.
    fn put_back(&self, counts: &Hour) {
        self.since().counts.add(counts);
    }

    fn since(&self) -> MutexGuard<'_, Since> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Since {
    fn age(&mut self, now: Timestamp) {
        let age = self.oldest_pending.map_or(0, |oldest| now.duration_since(oldest).as_secs());
        self.counts.oldest_pending = self.counts.oldest_pending.max(u64::try_from(age).unwrap_or(0));
    }
}

/// Writes the hours of all current apps, including those that a reload added.
#[derive(Debug)]
pub(crate) struct Recorder {
    fleet: Arc<Fleet>,
    store: Arc<dyn HistoryStore>,
    /// The current hour of each app as last written. Locked during a write: while a reload replaces an app, the old and the new one add to
    /// the same hour.
    written: tokio::sync::Mutex<BTreeMap<AppKey, Hour>>,
}

impl Recorder {
    pub(crate) fn new(fleet: Arc<Fleet>, store: Arc<dyn HistoryStore>) -> Self {
        Self { fleet, store, written: tokio::sync::Mutex::default() }
    }

    pub(crate) fn store(&self) -> &dyn HistoryStore {
        &*self.store
    }

    /// Writes what an app has done since the last write. Counts that cannot be written are kept for the next write.
    pub(crate) async fn write(&self, app: &AppContext) {
        self.write_these(std::iter::once(app)).await;
    }

    /// Writes what all apps have done since the last write.
    pub(crate) async fn write_all(&self) {
        let apps = self.fleet.all();
        self.write_these(apps.values().map(AsRef::as_ref)).await;
    }

    /// Writes several apps at the same time, so that they share commits.
    async fn write_these<'a>(&self, apps: impl Iterator<Item = &'a AppContext>) {
        let mut written = self.written.lock().await;
        let mut writes = Vec::new();
        for app in apps {
            let now = app.shared.clock.now();
            let held = app.status.holding().map_or(0, |holding| holding.held);
            let more = app.status.recent().take(held, now);
            if more.is_empty() {
                continue;
            }
            let at = Hour::beginning(now);
            let known = written.remove(&app.key).filter(|hour| hour.at == at);
            writes.push(async move {
                let hour = self.add(&app.key, known, &more, at).await;
                (app, more, hour)
            });
        }
        let mut writes = futures::stream::iter(writes).buffer_unordered(AT_ONCE);
        let mut failed: Option<(&AppContext, Error)> = None;
        let mut failures = 0_usize;
        while let Some((app, more, hour)) = writes.next().await {
            match hour {
                Ok(hour) => drop(written.insert(app.key.clone(), hour)),
                Err(error) => {
                    app.status.recent().put_back(&more);
                    failures += 1;
                    failed.get_or_insert((app, error));
                }
            }
        }
        if let Some((app, error)) = failed {
            // The cause is the state, which all apps share, so one line is enough.
            tracing::warn!(app = %app.name, apps = failures, %error, "the history of the last minute could not be written; retrying in a minute");
        }
    }

    /// Adds counts to the hour of an app. `known` is this hour as last written, if this process has written it.
    async fn add(
        &self,
        app: &AppKey,
        known: Option<Hour>,
        more: &Hour,
        at: Timestamp,
    ) -> Result<Hour, Error> {
        let mut hour = if let Some(hour) = known {
            hour
        } else {
            // An earlier process may already have written a part of this hour.
            let known = self.store.hours(app, at).await?.into_iter().find(|hour| hour.at == at);
            known.unwrap_or_else(|| Hour { at, ..Hour::default() })
        };
        hour.add(more);
        self.store.set_hour(app, &hour).await?;
        Ok(hour)
    }

    /// Writes once a minute until `enough` is cancelled.
    pub(crate) async fn run(&self, enough: CancellationToken) {
        loop {
            tokio::select! {
                () = enough.cancelled() => return,
                () = tokio::time::sleep(EVERY) => self.write_all().await,
            }
        }
    }
}

/// The removals that completing the last dry run or held sync would have caused, with names as far as they are known. Kept in memory only.
#[derive(Clone, Debug)]
pub struct ShownRemovals {
    /// When they were found.
    pub at: Timestamp,
    /// `held`, `rehearsed` or another result of a sync.
    pub result: SyncResult,
    /// Whether this was a dry run, which pushes nothing.
    pub dry_run: bool,
    /// Why the sync is held.
    pub held_because: Vec<HeldReason>,
    /// The digest with which an operator approves these removals.
    pub digest: Option<Digest>,
    /// The accounts affected and what each of them loses.
    pub losses: Vec<LossSummary>,
}

impl ShownRemovals {
    pub(crate) fn of(summary: &Summary, at: Timestamp) -> Self {
        Self {
            at,
            result: summary.result,
            dry_run: summary.dry_run,
            held_because: summary.held_because.clone(),
            digest: summary.digest,
            losses: summary.losses.clone(),
        }
    }
}

/// The stored statistics and syncs. `None` if the app does not exist; empty if no history is stored.
impl StatusReporter {
    /// The hours of an app since an instant, oldest first.
    pub async fn hours(&self, app: &str, since: Timestamp) -> Option<Result<Vec<Hour>, Error>> {
        let app = self.app(app)?;
        let Some(store) = self.history() else { return Some(Ok(Vec::new())) };
        Some(store.hours(&app.key, since).await)
    }

    /// The recorded syncs of an app, newest first.
    pub async fn recorded_runs(&self, app: &str) -> Option<Result<Vec<RecordedRun>, Error>> {
        let app = self.app(app)?;
        let Some(store) = self.history() else { return Some(Ok(Vec::new())) };
        let runs = store.recorded_runs(&app.key).await;
        Some(runs.map(|runs| runs.into_iter().map(|run| cleaned(&app, run)).collect()))
    }

    /// One recorded sync.
    pub async fn recorded_run(&self, app: &str, id: u64) -> Option<Result<Option<RecordedRun>, Error>> {
        let app = self.app(app)?;
        let Some(store) = self.history() else { return Some(Ok(None)) };
        let run = store.recorded_run(&app.key, id).await;
        Some(run.map(|run| run.map(|run| cleaned(&app, run))))
    }

    /// The removals that an app's last dry run or held sync found, unless a sync has completed since.
    pub fn shown_removals(&self, app: &str) -> Option<Arc<ShownRemovals>> {
        self.app(app)?.status.shown_removals()
    }

    /// When Iden created the app's oldest task that is pending and due.
    pub fn oldest_pending(&self, app: &str) -> Option<Timestamp> {
        self.app(app)?.status.recent().oldest_pending()
    }
}

/// Redacts a recorded sync again: a value that an earlier process wrote may only later have been recognized as a secret.
fn cleaned(app: &AppContext, mut recorded: RecordedRun) -> RecordedRun {
    let run = &mut recorded.run;
    for text in std::iter::once(&mut run.detail).chain(&mut run.cause) {
        *text = bridgehead_sdk::visible(&app.shared.redactor.redact(text)).into_owned();
    }
    recorded
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

    use bridgehead_resilience::SeededRng;
    use bridgehead_sdk::async_trait;
    use bridgehead_store::Memory;

    use super::*;
    use crate::fakes;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn counts_are_taken_once_and_can_be_put_back() {
        let recent = Recent::default();
        recent.completed();
        recent.failed(Code::Timeout);
        recent.took(Duration::from_secs(2));
        recent.held(3);
        let taken = recent.take(1, at(0));
        assert_eq!((taken.completed, taken.failures(), taken.held, taken.durations[3]), (1, 1, 3, 1));
        assert!(recent.take(0, at(0)).is_empty());
        recent.put_back(&taken);
        recent.completed();
        assert_eq!(recent.take(0, at(0)).completed, 2);
    }

    #[test]
    fn oldest_pending_task_ages_until_it_is_unlisted() {
        let recent = Recent::default();
        recent.listed(Some(at(100)), at(130));
        assert_eq!(recent.take(0, at(190)).oldest_pending, 90, "it is still there");
        recent.listed(None, at(200));
        assert_eq!(recent.take(0, at(400)).oldest_pending, 0);
        recent.listed(Some(at(500)), at(400));
        assert_eq!(recent.take(0, at(400)).oldest_pending, 0, "Iden's clock is ahead");
    }

    /// A state that can be away. It takes a moment for each write, and counts those at the same time.
    #[derive(Debug, Default)]
    struct State {
        is_away: AtomicBool,
        under_way: AtomicUsize,
        most: AtomicUsize,
        hours: Mutex<BTreeMap<(AppKey, Timestamp), Hour>>,
    }

    #[async_trait]
    impl HistoryStore for State {
        async fn set_hour(&self, app: &AppKey, hour: &Hour) -> Result<(), Error> {
            let now = self.under_way.fetch_add(1, Relaxed) + 1;
            self.most.fetch_max(now, Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.under_way.fetch_sub(1, Relaxed);
            if self.is_away.load(Relaxed) {
                return Err(Error::Closed);
            }
            self.hours.lock().unwrap().insert((app.clone(), hour.at), hour.clone());
            Ok(())
        }

        async fn hours(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Hour>, Error> {
            Ok(self.hours.lock().unwrap().get(&(app.clone(), since)).cloned().into_iter().collect())
        }

        async fn recorded_runs(&self, _: &AppKey) -> Result<Vec<RecordedRun>, Error> {
            Ok(Vec::new())
        }

        async fn recorded_run(&self, _: &AppKey, _: u64) -> Result<Option<RecordedRun>, Error> {
            Ok(None)
        }
    }

    struct Nothing;

    impl fakes::Script for Nothing {}

    #[tokio::test(start_paused = true)]
    async fn hours_of_many_apps_are_written_together_and_nothing_is_lost_while_the_state_is_away() {
        let rng = Arc::new(SeededRng::seeded(1));
        let journal = Memory::new(at(0));
        let apps = (0..200_u128).map(|number| {
            let (name, mut settings) = (format!("app-{number}"), fakes::settings());
            settings.app_id = uuid::Uuid::from_u128(number + 1);
            let bridge = fakes::api(&Arc::new(Nothing));
            let app =
                fakes::app_in_memory(&name, settings, bridge, Arc::new(fakes::Untouched), &journal, &rng);
            (name, app)
        });
        let apps: BTreeMap<String, Arc<AppContext>> = apps.collect();
        let state = Arc::new(State::default());
        let recorder =
            Recorder::new(Arc::new(Fleet::new(apps.clone())), Arc::clone(&state) as Arc<dyn HistoryStore>);
        for is_away in [false, true, false] {
            state.is_away.store(is_away, Relaxed);
            for app in apps.values() {
                app.status.recent().completed();
            }
            recorder.write_all().await;
        }
        assert_eq!(state.most.load(Relaxed), AT_ONCE);
        let hours = state.hours.lock().unwrap();
        let mut completed = BTreeMap::new();
        for ((app, _), hour) in hours.iter() {
            *completed.entry(app).or_insert(0) += hour.completed;
        }
        assert_eq!(completed.len(), 200);
        assert!(completed.values().all(|count| *count == 3), "{completed:?}");
    }
}
