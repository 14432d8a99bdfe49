//! One process of the daemon: the runtime with its journal, and how it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bridgehead::bridge::{ApiKey, Client, Environment, Settings};
use bridgehead::config;
use bridgehead::journal::TaskJournal;
use bridgehead::runtime::audit::Audit;
use bridgehead::runtime::{Apps, Runtime, RuntimeBuilder};
use bridgehead::runtime::{Clock, sync};
use bridgehead_resilience::SeededRng;
use bridgehead_sdk::Redactor;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bridge::Network;
use crate::connector::{Bad, Process, REACH, TOKEN};
use crate::life::Life;
use crate::state::Opened;
use crate::store::Store;
use crate::world::{KEY, World};

/// The clock of the simulated machine.
#[derive(Debug)]
pub(crate) struct SimulatedClock {
    pub(crate) sandbox: Arc<bridgehead::sandbox::Sandbox>,
    pub(crate) ahead: i64,
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        self.sandbox.now().saturating_add(SignedDuration::from_secs(self.ahead)).expect("a time")
    }
}

/// A process of the daemon.
pub(crate) struct Daemon {
    pub(crate) life: Arc<Life>,
    pub(crate) process: Arc<Process>,
    runtime: Arc<Runtime>,
    running: Option<JoinHandle<bool>>,
    stop: CancellationToken,
    state: Arc<Opened>,
}

/// The settings of the one app, as an operator writes them.
pub(crate) fn settings(app: &str) -> config::App {
    let text = format!(
        r#"
        [bridge]
        base_url = "http://127.0.0.1:1/org/sandbox"
        api_key = {{ env = "KEY" }}
        [apps.hr]
        app_id = "{app}"
        connector = "simulated"
        tasks = {{ poll_interval = "200ms", timeout = "4s", give_up_after = "20s", hold_for = "20s" }}
        sync.every = "3s"
        # Of so few people, the tasks of one run suspend and move many.
        sync.guard = {{ max_removals = 60, max_removal_percent = 25, min_records = 10,
            max_deactivation_percent = 45, max_membership_loss_percent = 45 }}
        "#
    );
    let documents = [config::Document { path: "bridgehead.toml".into(), text }];
    let connectors = config::Connectors::from([("simulated".to_owned(), bridgehead_simulated::factory())]);
    let read = config::parse(&documents, &BTreeMap::new(), &connectors);
    read.expect("a configuration").apps.remove("hr").expect("the app")
}

impl Daemon {
    /// Starts with the state of the world.
    pub(crate) fn start(world: &World) -> Self {
        let life = Life::new(Arc::clone(&world.events));
        let state = Arc::new(world.state.open());
        let store = Arc::new(Store { life: Arc::clone(&life), state: Arc::clone(&state) });
        let clock: Arc<dyn Clock> =
            Arc::new(SimulatedClock { sandbox: Arc::clone(&world.sandbox), ahead: world.ahead });
        let seed = world.dice.number();
        let environment = Environment {
            exchange: Arc::new(Network {
                life: Arc::clone(&life),
                sandbox: Arc::clone(&world.sandbox),
                dice: world.dice.clone(),
                delays: world.delays.clone(),
                cut: Arc::default(),
                node: None,
            }),
            clock: Arc::clone(&clock),
            rng: Arc::new(SeededRng::seeded(seed)),
        };
        let redactor = Redactor::new();
        redactor.protect_for_good([KEY, TOKEN]);
        let mut bridge = Settings::new(world.sandbox.base_url().parse().expect("a URL"));
        bridge.request_timeout = Duration::from_secs(3);
        let key = Arc::new(ApiKey::new(KEY).expect("a key"));
        let bridge = Client::within(environment, bridge, key).expect("a client").without_retries();
        let process = Arc::new(Process::default());
        let connector = Bad {
            life: Arc::clone(&life),
            target: Arc::clone(&world.target),
            process: Arc::clone(&process),
            dice: world.dice.clone(),
            seed: world.seed,
            reach: REACH,
            claim: None,
        };
        let apps = Apps::from([("hr".to_owned(), (world.settings.clone(), Arc::new(connector) as Arc<_>))]);
        let assembly = RuntimeBuilder {
            apps,
            bridge: Arc::new(bridge),
            journal: Arc::clone(&store) as Arc<dyn TaskJournal>,
            snapshots: store,
            history: None,
            leases: None,
            redactor,
            clock,
            seed: Some(seed),
            shutdown_grace: Duration::from_secs(2),
            audit: Audit::none(),
        };
        let runtime = Arc::new(assembly.build());
        Self { life, process, runtime, running: None, stop: CancellationToken::new(), state }
    }

    /// Starts executing tasks and syncs.
    pub(crate) fn run(mut self) -> Self {
        let (runtime, stop) = (Arc::clone(&self.runtime), self.stop.clone());
        self.running = Some(tokio::spawn(async move { runtime.run(stop).await }));
        self
    }

    /// Runs one sync.
    pub(crate) async fn sync(&self, options: sync::Options) -> sync::Summary {
        self.runtime.sync("hr", options, &self.stop).await.expect("the app")
    }

    /// Shuts down, and returns whether it ended within the time limit.
    pub(crate) async fn terminate(mut self) -> bool {
        self.stop.cancel();
        let in_time = if let Some(running) = self.running.take() {
            let limit = Duration::from_mins(1);
            tokio::select! {
                biased;
                ended = tokio::time::timeout(limit, running) => matches!(ended, Ok(Ok(_))),
                () = self.life.ended() => true,
            }
        } else {
            self.runtime.close().await;
            true
        };
        self.kill().await;
        in_time
    }

    /// Ends the process immediately.
    pub(crate) async fn kill(mut self) {
        self.life.end();
        if let Some(running) = self.running.take() {
            running.abort();
            drop(running.await);
        }
        drop(self.runtime);
        self.state.close();
    }

    /// Whether it has ended without being stopped.
    pub(crate) fn has_ended(&self) -> bool {
        self.running.as_ref().is_some_and(JoinHandle::is_finished)
    }
}
