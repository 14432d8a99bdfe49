//! State shared by all loops of one app.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use bridgehead_resilience::{Clock, Retry as Retrier, RetryPolicy, SeededRng};
use bridgehead_sdk::{Connector, Redactor};
use jiff::Timestamp;
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::actions::{Cancelling, Pausing, Waiting};
use super::audit::Audit;
use super::change_tracker::ChangeTracker;
use super::clock::SteadyClock;
use super::created_accounts::CreatedAccounts;
use super::guard::DeprovisionLimit;
use super::status::AppStatus;
use super::store::Store;
use super::sync::Fence;
use super::target::Target;
use super::upstream::Upstream;
use bridgehead_bridge::{Api, AppId};
use bridgehead_config as config;
use bridgehead_store::lease::Leases;
use bridgehead_store::{AppKey, SnapshotStore, TaskJournal};

/// One configured app at run time.
pub(crate) struct AppContext {
    pub(crate) name: String,
    pub(crate) id: AppId,
    pub(crate) key: AppKey,
    pub(crate) settings: config::App,
    pub(crate) target: Target,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) store: Store,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
    pub(crate) status: Arc<AppStatus>,
    pub(crate) changes: ChangeTracker,
    pub(crate) created_accounts: CreatedAccounts,
    pub(crate) deprovision_limit: DeprovisionLimit,
    /// Held by the sync that is running.
    pub(crate) sync_lock: Mutex<()>,
    /// Whether a `complete` may still be on its way to Iden.
    pub(crate) fence: Fence,
    pub(crate) operator: OperatorState,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) shared: SharedServices,
}

/// What operators see of an app and can change while it runs.
#[derive(Default)]
pub(crate) struct OperatorState {
    /// The tasks that wait for their next attempt or for the target.
    pub(crate) waiting: Waiting,
    /// Whether an operator has paused the app.
    pub(crate) pausing: Pausing,
    /// The running sync, so that it can be cancelled.
    pub(crate) cancelling: Cancelling,
    /// Read-locked by each command under way; the app ends only when it can lock it for writing.
    pub(crate) commands: Arc<RwLock<()>>,
}

/// When an app started, and how it ends.
pub(crate) struct Lifecycle {
    /// When this context was created, on the monotonic clock.
    started: Instant,
    /// Cancelled when the daemon stops or a reload replaces the app.
    pub(crate) stop: CancellationToken,
    /// Another node has taken over the app: running work is not awaited, because its result cannot be recorded here.
    pub(crate) lost: CancellationToken,
    /// One of the app's loops did not end, and blocks a thread.
    pub(crate) stuck: AtomicBool,
    /// Since when the app has run with these settings.
    pub(crate) running_since: Timestamp,
    /// The app replaces another one with the same id in this process, or has moved here from another node, so it keeps its schedule.
    pub(crate) continues: bool,
    /// For building this app again, with other settings or after it moved between nodes. All calls go through [`Target`] and [`Upstream`].
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) bridge: Arc<dyn Api>,
    /// How long after its start the app first reads its task list; spreads the first polls of all apps of the daemon.
    pub(crate) first_poll: OnceLock<Duration>,
    /// The leases of this node, if several nodes share the state.
    pub(crate) leases: Option<Arc<dyn Leases>>,
}

/// Services of the process that all apps share.
#[derive(Clone)]
pub(crate) struct SharedServices {
    pub(crate) redactor: Redactor,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<SeededRng>,
    pub(crate) audit: Audit,
    steady: Arc<std::sync::Mutex<SteadyClock>>,
}

impl SharedServices {
    pub(crate) fn new(redactor: &Redactor, clock: Arc<dyn Clock>, rng: Arc<SeededRng>, audit: Audit) -> Self {
        let steady = Arc::new(std::sync::Mutex::new(SteadyClock::start(clock.now())));
        // What it returns leaves the daemon.
        Self { redactor: redactor.recognizing(), clock, rng, audit, steady }
    }

    /// The time by which something is old. Unlike the wall clock, it does not follow a machine's clock that is set forward.
    pub(crate) fn aging_now(&self) -> Timestamp {
        let now = self.clock.now();
        self.steady.lock().unwrap_or_else(PoisonError::into_inner).now(now)
    }
}

/// What an [`AppContext`] is built from.
pub(crate) struct AppParts {
    pub(crate) name: String,
    pub(crate) settings: config::App,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) bridge: Arc<dyn Api>,
    pub(crate) journal: Arc<dyn TaskJournal>,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
    pub(crate) status: Arc<AppStatus>,
    pub(crate) shared: SharedServices,
    /// The leases of this node, if several nodes share the state.
    pub(crate) leases: Option<Arc<dyn Leases>>,
}

impl AppContext {
    pub(crate) fn new(parts: AppParts) -> Arc<Self> {
        Self::build(parts, false)
    }

    /// An app that replaces another one with the same id.
    pub(crate) fn continuing(parts: AppParts) -> Arc<Self> {
        Self::build(parts, true)
    }

    fn build(parts: AppParts, continues: bool) -> Arc<Self> {
        let AppParts { name, settings, connector, bridge, journal, snapshots, status, shared, leases } =
            parts;
        let key = AppKey::from(settings.app_id);
        Arc::new(Self {
            id: AppId::from(settings.app_id),
            store: Store::new(journal, Arc::clone(&status), key.clone()),
            key,
            target: Target::new(Arc::clone(&connector), &name, &settings, shared.redactor.clone()),
            upstream: Arc::new(Upstream::new(Arc::clone(&bridge), &name, &shared.rng)),
            changes: ChangeTracker::default(),
            created_accounts: CreatedAccounts::default(),
            deprovision_limit: DeprovisionLimit::new(settings.tasks.guard),
            sync_lock: Mutex::new(()),
            fence: Fence::default(),
            operator: OperatorState::default(),
            lifecycle: Lifecycle {
                started: Instant::now(),
                stop: CancellationToken::new(),
                lost: CancellationToken::new(),
                stuck: AtomicBool::new(false),
                running_since: shared.clock.now(),
                continues,
                connector,
                bridge,
                first_poll: OnceLock::new(),
                leases,
            },
            shared,
            name,
            settings,
            snapshots,
            status,
        })
    }

    /// When all calls of other processes have certainly ended, on the monotonic clock: at the start of this one, or later if another node ran
    /// the app until recently. The lease knows it, so a context that replaces another one after a reload still waits.
    pub(crate) fn settled_at(&self) -> Instant {
        let settled_at = self.lifecycle.leases.as_ref().and_then(|leases| leases.settled_at(&self.key));
        settled_at.map_or(self.lifecycle.started, |settled_at| settled_at.max(self.lifecycle.started))
    }

    /// Whether a call that changes something may start now: this node owns the app for long enough.
    pub(crate) fn may_start(&self) -> bool {
        self.lifecycle.leases.as_ref().is_none_or(|leases| leases.may_start(&self.key))
    }

    /// Retries failed calls, with this app's jitter.
    pub(crate) fn retry(&self, policy: RetryPolicy) -> Retrier<'_> {
        Retrier::new(policy, &self.shared.rng)
    }
}

impl std::fmt::Debug for AppContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppContext").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}
