//! One process of a node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bridgehead::bridge::{ApiKey, Client, Environment, Settings};
use bridgehead::journal::TaskJournal;
use bridgehead::journal::lease::{Leases, Terms};
use bridgehead::journal::shared::{Identity, Node};
use bridgehead::runtime::audit::Audit;
use bridgehead::runtime::{Apps, Clock, Runtime, RuntimeBuilder, sync};
use bridgehead_resilience::SeededRng;
use bridgehead_sdk::Redactor;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cut::{Cut, Wire};
use super::leases::{Claim, Keeper};
use super::{App, Shared};
use crate::bridge::Network;
use crate::connector::{self, Bad, TOKEN};
use crate::daemon::SimulatedClock;
use crate::life::Life;
use crate::plan::TIMEOUT;
use crate::state::Opened;
use crate::store::Store;
use crate::world::KEY;

/// The duration of a lease. Shorter than in production, so that a run has many takeovers.
pub(super) const LEASE: Duration = Duration::from_secs(2);
/// The longest duration of a call: as in production, the longest `tasks.timeout`.
const LONGEST_CALL: Duration = Duration::from_secs(TIMEOUT);

/// What a process is started with.
pub(super) struct Machine<'a> {
    pub(super) identity: Identity,
    pub(super) database: &'a Arc<Cut>,
    pub(super) bridge: &'a Arc<Cut>,
    /// How far its clock is ahead, in seconds.
    pub(super) ahead: i64,
}

/// A process of the daemon.
pub(super) struct Process {
    pub(super) life: Arc<Life>,
    pub(super) node: Node,
    pub(super) identity: Identity,
    /// The processes of its connectors, by app.
    pub(super) connectors: BTreeMap<String, Arc<connector::Process>>,
    runtime: Arc<Runtime>,
    running: JoinHandle<bool>,
    stop: CancellationToken,
}

/// A process that was asked to stop.
pub(super) struct Stopping {
    pub(super) life: Arc<Life>,
    running: JoinHandle<bool>,
}

impl Process {
    pub(super) fn start(shared: &Shared, apps: &[App], machine: Machine<'_>) -> Self {
        let Machine { identity, database, bridge, ahead } = machine;
        let life = Life::named(Arc::clone(&shared.events), identity.process.clone());
        let dice = shared.dice.clone();
        let delay = shared.database_delay;
        let wire = Wire { life: Arc::clone(&life), cut: Arc::clone(database), dice: dice.clone(), delay };
        let terms = Terms { lease: LEASE, longest_call: LONGEST_CALL };
        let node = Node::join(&shared.database, identity.clone(), terms, Arc::new(wire));
        let state = Arc::new(Opened::shared(&node));
        let store = Arc::new(Store { life: Arc::clone(&life), state });
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock { sandbox: Arc::clone(&shared.sandbox), ahead });
        let seed = dice.number();
        let network = Network {
            life: Arc::clone(&life),
            sandbox: Arc::clone(&shared.sandbox),
            dice: dice.clone(),
            delays: shared.delays.clone(),
            cut: Arc::clone(bridge),
            node: Some(node.clone()),
        };
        let environment = Environment {
            exchange: Arc::new(network),
            clock: Arc::clone(&clock),
            rng: Arc::new(SeededRng::seeded(seed)),
        };
        let redactor = Redactor::new();
        redactor.protect_for_good([KEY, TOKEN]);
        let mut settings = Settings::new(shared.sandbox.base_url().parse().expect("a URL"));
        settings.request_timeout = Duration::from_secs(3);
        let key = Arc::new(ApiKey::new(KEY).expect("a key"));
        let client = Client::within(environment, settings, key).expect("a client").without_retries();
        let mut connectors = BTreeMap::new();
        let configured = apps.iter().map(|app| {
            let process = Arc::<connector::Process>::default();
            connectors.insert(app.name.clone(), Arc::clone(&process));
            let claim = Claim {
                node: node.clone(),
                database: shared.database.clone(),
                process: identity.process.clone(),
                app: app.key.clone(),
            };
            let bad = Bad {
                life: Arc::clone(&life),
                target: Arc::clone(&app.target),
                process,
                dice: dice.clone(),
                seed: shared.seed,
                // What was sent before a process died may be applied as late as the next owner expects.
                reach: LONGEST_CALL,
                claim: Some(claim),
            };
            (app.name.clone(), (app.settings.clone(), Arc::new(bad) as Arc<_>))
        });
        let apps: Apps = configured.collect();
        let keeper = Keeper { life: Arc::clone(&life), node: node.clone() };
        let builder = RuntimeBuilder {
            apps,
            bridge: Arc::new(client),
            journal: Arc::clone(&store) as Arc<dyn TaskJournal>,
            snapshots: store,
            history: None,
            leases: Some(Arc::new(keeper) as Arc<dyn Leases>),
            redactor,
            clock,
            seed: Some(seed),
            shutdown_grace: Duration::from_secs(2),
            audit: Audit::none(),
        };
        let (runtime, stop) = (Arc::new(builder.build()), CancellationToken::new());
        let running = {
            let (runtime, stop) = (Arc::clone(&runtime), stop.clone());
            tokio::spawn(async move { runtime.run(stop).await })
        };
        Self { life, node, identity, connectors, runtime, running, stop }
    }

    /// Runs one sync of an app.
    pub(super) async fn sync(&self, app: &str, options: sync::Options) -> sync::Summary {
        self.runtime.sync(app, options, &self.stop).await.expect("the app")
    }

    /// SIGTERM.
    pub(super) fn terminate(self) -> Stopping {
        let Self { life, node, runtime, running, stop, .. } = self;
        stop.cancel();
        let running = tokio::spawn(async move {
            let is_over = running.await.expect("the daemon ends without a panic");
            drop(runtime);
            node.close(is_over).await;
            is_over
        });
        Stopping { life, running }
    }

    /// SIGKILL.
    pub(super) async fn kill(self) {
        self.life.end();
        self.running.abort();
        drop(self.running.await);
    }

    /// Whether it has ended without being stopped.
    pub(super) fn has_ended(&self) -> bool {
        self.running.is_finished()
    }
}

impl Stopping {
    pub(super) fn has_ended(&self) -> bool {
        self.running.is_finished()
    }

    /// Ends the process, whether or not it has ended by itself.
    pub(super) async fn end(self) {
        self.life.end();
        self.running.abort();
        drop(self.running.await);
    }
}
