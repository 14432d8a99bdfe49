//! State shared by all loops of one app.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
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
use super::created_accounts::CreatedAccounts;
use super::guard::DeprovisionLimit;
use super::status::AppStatus;
use super::store::Store;
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
    pub(crate) upstream: Upstream,
    pub(crate) store: Store,
    pub(crate) listings: Arc<dyn SnapshotStore>,
    pub(crate) redactor: Redactor,
    pub(crate) clock: Arc<dyn Clock>,
    /// From when on nothing is under way that another process has begun, by a clock that cannot be set: when this one began, or later,
    /// if another node ran the app until now.
    pub(crate) started: Instant,
    pub(crate) rng: Arc<SeededRng>,
    pub(crate) status: Arc<AppStatus>,
    pub(crate) activity: ChangeTracker,
    pub(crate) newcomers: CreatedAccounts,
    pub(crate) guard: DeprovisionLimit,
    /// Tasks waiting for their next attempt or for the target.
    pub(crate) waiting: Waiting,
    /// Whether an operator has paused the app.
    pub(crate) pausing: Pausing,
    /// The running sync, so that an operator can cancel it.
    pub(crate) cancelling: Cancelling,
    pub(crate) audit: Audit,
    /// Held by the sync that is running; only one runs at a time.
    pub(crate) sync_lock: Mutex<()>,
    /// Cancelled when the app ends: the daemon stops, or a reload replaces it.
    pub(crate) stop: CancellationToken,
    /// One of the app's loops did not end and still blocks a thread.
    pub(crate) stuck: AtomicBool,
    /// Held while an operator command is executed; the end of the app waits for it.
    pub(crate) orders: Arc<RwLock<()>>,
    /// When the app started with its current settings.
    pub(crate) running_since: Timestamp,
    /// How long after its start the app reads its list first, so that the apps of a daemon do not all do so at once.
    pub(crate) first_poll: OnceLock<Duration>,
    /// Another app with this identity ran earlier in this process, so this one continues its work.
    pub(crate) continues: bool,
    /// What another context of the same app is made with.
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) bridge: Arc<dyn Api>,
    /// The leases of this node, where nodes share the state.
    leases: Option<Arc<dyn Leases>>,
}

/// The components of an app.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) settings: config::App,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) bridge: Arc<dyn Api>,
    pub(crate) journal: Arc<dyn TaskJournal>,
    pub(crate) listings: Arc<dyn SnapshotStore>,
    pub(crate) redactor: Redactor,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<SeededRng>,
    pub(crate) status: Arc<AppStatus>,
    pub(crate) audit: Audit,
    /// A call of another node may still be under way for so long.
    pub(crate) settles_in: Duration,
    pub(crate) leases: Option<Arc<dyn Leases>>,
}

impl AppContext {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        Self::assembled(parts, false)
    }

    /// Creates an app that replaces another one with the same identity.
    pub(crate) fn continuing(parts: Parts) -> Arc<Self> {
        Self::assembled(parts, true)
    }

    fn assembled(parts: Parts, continues: bool) -> Arc<Self> {
        let Parts {
            name,
            settings,
            connector,
            bridge,
            journal,
            listings,
            redactor,
            clock,
            rng,
            status,
            audit,
            settles_in,
            leases,
        } = parts;
        let key = AppKey::from(settings.app_id);
        Arc::new(Self {
            id: AppId::from(settings.app_id),
            store: Store::new(journal, Arc::clone(&status), key.clone()),
            key,
            target: Target::new(Arc::clone(&connector), &name, &settings, redactor.clone()),
            upstream: Upstream::new(Arc::clone(&bridge), &name, &rng),
            activity: ChangeTracker::default(),
            newcomers: CreatedAccounts::default(),
            guard: DeprovisionLimit::new(settings.tasks.guard),
            waiting: Waiting::default(),
            pausing: Pausing::default(),
            cancelling: Cancelling::default(),
            audit,
            sync_lock: Mutex::new(()),
            stop: CancellationToken::new(),
            stuck: AtomicBool::new(false),
            orders: Arc::default(),
            running_since: clock.now(),
            first_poll: OnceLock::new(),
            continues,
            connector,
            bridge,
            leases,
            name,
            settings,
            listings,
            redactor,
            clock,
            started: Instant::now() + settles_in,
            rng,
            status,
        })
    }

    /// Whether a call that changes something may be started now: the app is this node's for long enough.
    pub(crate) fn may_start(&self) -> bool {
        self.leases.as_ref().is_none_or(|leases| leases.may_start(&self.key))
    }

    /// Returns a retrier that uses this app's random number generator.
    pub(crate) fn retry(&self, policy: RetryPolicy) -> Retrier<'_> {
        Retrier::new(policy, &self.rng)
    }
}

impl std::fmt::Debug for AppContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppContext").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}
