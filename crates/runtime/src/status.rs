//! Counters and states of a running daemon, for `/status`, `/metrics`, progress bars and readiness.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridgehead_resilience::{Clock, SystemClock};
use bridgehead_sdk::{Action, Code};
use jiff::{SignedDuration, Timestamp, Unit};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::guard::Holding;
use super::history::{Recent, ShownRemovals};
use super::metrics::Metrics;
use super::progress::Progress;
use super::sync::TypeSummary;
use bridgehead_bridge as bridge;
use bridgehead_store::{self as journal, Outcome, ReportResult, RunReason, RunResult};

/// Counters of one app since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskCounts {
    /// Tasks picked up.
    pub started: u64,
    /// Reported as completed.
    pub completed: u64,
    /// Reported as failed, by code.
    pub failed: BTreeMap<String, u64>,
    /// Attempts after a failed one.
    pub retried: u64,
    /// Already resolved in Iden before the report (409).
    pub conflicts: u64,
    /// Unknown to Iden (404).
    pub missing: u64,
    /// Reports that Iden rejected (400), set aside for the operator.
    pub rejected: u64,
    /// Reports that had to be repeated.
    pub reports_delayed: u64,
    /// Tasks that Iden lists as pending although their outcome was reported several times.
    pub relisted: u64,
    /// Tasks currently waiting for their turn.
    pub waiting: u64,
    /// Tasks currently under way: running, or between two attempts.
    pub under_way: u64,
}

/// The progress of a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncProgress {
    /// The current step in a word or two: "listing team", "completing"; empty if no sync is running.
    pub phase: String,
    /// Records read from the target so far, by resource type.
    pub listed: BTreeMap<String, u64>,
    /// Records pushed to Iden so far, by resource type.
    pub pushed: BTreeMap<String, u64>,
    /// Invalid records found so far.
    pub invalid: u64,
    /// When the sync started.
    pub began_at: Option<Timestamp>,
}

/// The result of the last finished sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSync {
    /// When it ended.
    pub at: Timestamp,
    /// The result.
    pub result: RunResult,
    /// The reason, if the result is not self-explanatory.
    pub reason: Option<RunReason>,
    /// A sentence that describes the result.
    pub detail: String,
    /// What is wrong, without the advice, if the sentence contains both.
    pub cause: Option<String>,
    /// What the sync did, or would have done, by resource type.
    pub resource_types: BTreeMap<String, TypeSummary>,
    /// The number of invalid records.
    pub invalid: u64,
}

/// Why the task list cannot be read at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollFailure {
    /// Since when it has been failing.
    pub since: Timestamp,
    /// The error of the last attempt.
    pub message: String,
    /// How to fix it.
    pub advice: String,
}

/// Whether an app has been in contact with the Bridge yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PollState {
    /// Not yet.
    #[default]
    None,
    /// The task list was read.
    Made,
    /// The task list could not be read: the Bridge is down, or refuses the key.
    Failed,
}

/// The status of one app.
#[derive(Debug)]
pub struct AppStatus {
    clock: Arc<dyn Clock>,
    tasks: Mutex<TaskCounts>,
    resolved: AtomicU64,
    contact: watch::Sender<PollState>,
    polled_at: Mutex<Option<Timestamp>>,
    /// Since when polling has been failing, on a monotonic clock.
    poll_failure: Mutex<Option<(Instant, PollFailure)>>,
    progress: Progress,
    next_sync: Mutex<Option<Timestamp>>,
    tally: Metrics,
    sync: watch::Sender<SyncProgress>,
    last_sync: watch::Sender<Option<LastSync>>,
    holding: Mutex<Option<Holding>>,
    recent: Recent,
    shown: Mutex<Option<Arc<ShownRemovals>>>,
}

impl Default for AppStatus {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl AppStatus {
    /// Creates an empty status.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            tasks: Mutex::default(),
            resolved: AtomicU64::new(0),
            contact: watch::Sender::new(PollState::None),
            polled_at: Mutex::default(),
            poll_failure: Mutex::default(),
            progress: Progress::default(),
            next_sync: Mutex::default(),
            tally: Metrics::default(),
            sync: watch::Sender::new(SyncProgress::default()),
            last_sync: watch::Sender::new(None),
            holding: Mutex::default(),
            recent: Recent::default(),
            shown: Mutex::default(),
        }
    }

    /// The current task counters.
    pub fn tasks(&self) -> TaskCounts {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Subscribes to changes of the contact with the Bridge.
    pub fn contact(&self) -> watch::Receiver<PollState> {
        self.contact.subscribe()
    }

    /// When the task list was last read completely.
    pub fn polled_at(&self) -> Option<Timestamp> {
        *self.polled_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the task list cannot be read, if the last attempt failed.
    pub fn poll_failure(&self) -> Option<PollFailure> {
        let failure = self.poll_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failure.map(|(since, failure)| {
            let elapsed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
            let since = self.clock.now().saturating_sub(elapsed).unwrap_or(Timestamp::MIN);
            PollFailure { since: since.round(Unit::Second).unwrap_or(since), ..failure }
        })
    }

    /// What should make progress, and when it last did.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Records that a write to the state folder succeeded or failed. A write that was refused because it contradicts the journal says
    /// nothing about the disk, so it counts as a success.
    pub(crate) fn wrote(&self, error: Option<&journal::Error>) {
        use journal::Error::{AlreadyDecided, NoListing, NotDecided};
        match error {
            None | Some(AlreadyDecided { .. } | NotDecided { .. } | NoListing { .. }) => {
                self.progress.written();
            }
            Some(error) => self.progress.not_written(error.to_string()),
        }
    }

    /// When the next sync is due; `None` while one is running or if none is scheduled.
    pub fn next_sync(&self) -> Option<Timestamp> {
        *self.next_sync.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters for `/metrics`.
    pub fn tally(&self) -> &Metrics {
        &self.tally
    }

    /// Subscribes to the progress of syncs.
    pub fn sync(&self) -> watch::Receiver<SyncProgress> {
        self.sync.subscribe()
    }

    /// Subscribes to the results of syncs.
    pub fn last_sync(&self) -> watch::Receiver<Option<LastSync>> {
        self.last_sync.subscribe()
    }

    /// The tasks that the deprovision limit holds; `None` if there are none.
    pub fn holding(&self) -> Option<Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The counters for the history.
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    /// The removals that the last dry run or held sync found, unless a sync has completed since.
    pub(crate) fn shown_removals(&self) -> Option<Arc<ShownRemovals>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn show_removals(&self, shown: Option<ShownRemovals>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown.map(Arc::new);
    }

    pub(crate) fn executed(&self, action: Action, took: Duration) {
        self.recent.took(took);
        self.tally.executed(action, took);
    }

    pub(crate) fn hold(&self, holding: Option<Holding>) {
        self.recent.held(holding.as_ref().map_or(0, |holding| holding.held));
        *self.holding.lock().unwrap_or_else(PoisonError::into_inner) = holding;
    }

    fn count(&self, change: impl FnOnce(&mut TaskCounts)) {
        change(&mut self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn started(&self) {
        self.count(|tasks| tasks.started += 1);
    }

    pub(crate) fn retried(&self) {
        self.recent.retried();
        self.count(|tasks| tasks.retried += 1);
    }

    pub(crate) fn report_delayed(&self) {
        self.count(|tasks| tasks.reports_delayed += 1);
    }

    pub(crate) fn relisted(&self, stuck: usize) {
        self.count(|tasks| tasks.relisted = stuck as u64);
    }

    pub(crate) fn queue(&self, waiting: usize, under_way: usize) {
        self.count(|tasks| {
            tasks.waiting = waiting as u64;
            tasks.under_way = under_way as u64;
        });
    }

    /// How many tasks this process has removed from the list of pending tasks.
    pub(crate) fn resolved(&self) -> u64 {
        self.resolved.load(Ordering::Acquire)
    }

    pub(crate) fn ended(&self, outcome: &Outcome, ended: &ReportResult) {
        self.resolved.fetch_add(1, Ordering::AcqRel);
        match (ended, outcome) {
            (ReportResult::Accepted, Outcome::Completed { .. }) => self.recent.completed(),
            (ReportResult::Accepted, Outcome::Failed { code, .. }) => self.recent.failed(*code),
            _ => {}
        }
        self.count(|tasks| match (ended, outcome) {
            (ReportResult::Accepted, Outcome::Completed { .. }) => tasks.completed += 1,
            (ReportResult::Accepted, Outcome::Failed { code, .. }) => {
                *tasks.failed.entry(Code::as_str(*code).to_owned()).or_default() += 1;
            }
            (ReportResult::Conflict, _) => tasks.conflicts += 1,
            (ReportResult::Missing, _) => tasks.missing += 1,
            (ReportResult::Rejected { .. }, _) => tasks.rejected += 1,
        });
    }

    pub(crate) fn polled(&self, error: Option<&bridge::Error>) {
        let now = self.clock.now();
        let mut failure = self.poll_failure.lock().unwrap_or_else(PoisonError::into_inner);
        self.progress.heard();
        if let Some(error) = error {
            let (since, at) =
                failure.as_ref().map_or((now, Instant::now()), |(at, failure)| (failure.since, *at));
            let (message, advice) = (error.to_string(), error.advice().to_owned());
            *failure = Some((at, PollFailure { since, message, advice }));
        } else {
            *failure = None;
            *self.polled_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        drop(failure);
        self.tally.polled(error.is_none());
        self.contact.send_replace(if error.is_none() { PollState::Made } else { PollState::Failed });
    }

    pub(crate) fn sync_due(&self, at: Timestamp) {
        *self.next_sync.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Updates the progress of the running sync.
    pub fn sync_progress(&self, change: impl FnOnce(&mut SyncProgress)) {
        self.sync.send_modify(|progress| {
            let before = progress.pushed.clone();
            change(progress);
            self.progress.sync_moved();
            self.tally.pushed_on(&before, &progress.pushed);
        });
    }

    pub(crate) fn sync_ended(&self, last: LastSync) {
        self.tally.synced(last.result);
        self.sync.send_replace(SyncProgress::default());
        self.last_sync.send_replace(Some(last));
    }
}
