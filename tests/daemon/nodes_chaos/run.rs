//! Carries out a plan, waits until everything has settled, and checks the result.

use std::sync::Arc;
use std::time::Duration;

use bridgehead::sandbox::Entry;
use bridgehead_test_servers::Postgres;
use tokio::sync::Mutex;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep, sleep_until};

use super::NAMES;
use super::clock::Clock;
use super::faults::Node;
use super::owners::{self, Disturbance, Sample, Watch};
use super::plan::{Plan, Step, What, Who};
use super::site::Site;
use super::stories::Wish;
use crate::state_database::{server, url};
use crate::support::{KEY, World};

/// How long everything may take to settle once the faults have ended.
const REST: Duration = Duration::from_mins(4);

const APPS: [&str; super::plan::APPS] = ["one", "two", "three"];

/// What a run leaves.
pub(super) struct Outcome {
    pub(super) violations: Vec<String>,
    pub(super) samples: Vec<Sample>,
    pub(super) disturbances: Vec<Disturbance>,
    /// Steps that found their node disturbed already, or no owner.
    pub(super) skipped: usize,
    pub(super) syncs: usize,
    /// How long it took until all tasks were done, once the faults had ended.
    pub(super) settled_after: Duration,
    /// Names and contents of the logs and ledgers.
    pub(super) files: Vec<(String, String)>,
}

struct Run {
    world: World,
    nodes: Vec<Arc<Mutex<Node>>>,
    clocks: Vec<Arc<Clock>>,
    server: Mutex<Postgres>,
    sites: std::sync::Mutex<Vec<Site>>,
    watch: Watch,
    disturbances: std::sync::Mutex<Vec<Disturbance>>,
    skipped: std::sync::atomic::AtomicUsize,
}

pub(super) async fn run(plan: &Plan) -> Outcome {
    let run = Arc::new(Run::new(plan).await);
    let looking = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(look(Arc::clone(&run))));
    run.happen(plan).await;
    let settled_after = run.settle().await;
    let mut violations = run.end(plan).await;
    drop(looking);
    for (number, node) in run.nodes.iter().enumerate() {
        let node = node.lock().await;
        violations.extend(node.unexpected.iter().cloned());
        violations.extend(leaks(plan, NAMES[number], &node.log()));
    }
    let mut files = run.files().await;
    let disturbances = run.disturbances.lock().expect("the disturbances").clone();
    let names = run.apps().into_iter().map(|app| app.to_string()).zip(APPS).collect();
    files.push(("owners.txt".to_owned(), owners::story(&run.watch.samples(), &disturbances, &names)));
    let skipped = run.skipped.load(std::sync::atomic::Ordering::Relaxed);
    let requests = run.world.sandbox.ledger();
    let syncs = requests.iter().filter(|entry| completes_sync(entry)).count();
    Outcome { violations, samples: run.watch.samples(), disturbances, skipped, syncs, settled_after, files }
}

/// Looks all the time for records that Iden has removed, and for processes that have ended.
async fn look(run: Arc<Run>) {
    loop {
        for node in &run.nodes {
            // One that is disturbed at the moment is looked at later.
            if let Ok(mut node) = node.try_lock() {
                node.running(&run.world);
            }
        }
        for site in run.sites.lock().expect("the apps").iter_mut() {
            site.look_for_removals(&run.world);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Whether a request completed a sync.
fn completes_sync(entry: &Entry) -> bool {
    entry.path.trim_end_matches('/').ends_with("/complete") && entry.handled == Some(202)
}

/// Secrets and panics in a log.
fn leaks(plan: &Plan, node: &str, log: &str) -> Vec<String> {
    let wishes = plan.wishes();
    let passwords = wishes.iter().filter(|wish| wish.action == "reset_password");
    let mut secrets: Vec<&str> = passwords.map(|wish| wish.value.as_str()).collect();
    secrets.extend([KEY, "admin-secret-1"]);
    let mut wrong = Vec::new();
    if secrets.iter().any(|secret| log.contains(secret)) {
        wrong.push(format!("no secret leaks: one is in the log of node {node}"));
    }
    if log.contains("panicked") {
        wrong.push(format!("no crash: node {node} panicked"));
    }
    wrong
}

impl Run {
    async fn new(plan: &Plan) -> Self {
        let server = server().await;
        let world = World::new().await;
        let wishes = plan.wishes();
        let of = |app: usize| wishes.iter().copied().filter(|wish| wish.app == app).collect::<Vec<&Wish>>();
        let sites: Vec<Site> =
            APPS.into_iter().enumerate().map(|(app, name)| Site::new(&world, name, &of(app))).collect();
        let apps: String = sites.iter().map(|site| site.configuration(&world)).collect();
        let (database, bridge) = (server.port, world.sandbox.address().port());
        Clock::compile(&world);
        let nodes: Vec<Node> =
            NAMES.into_iter().map(|name| Node::new(&world, name, database, bridge)).collect();
        for node in &nodes {
            let (name, (to_database, to_bridge)) = (node.name, node.ports());
            let lead =
                |text: &str, port: u16, link: u16| text.replace(&format!(":{port}/"), &format!(":{link}/"));
            world.write(&format!("url-{name}"), &lead(&url(&server), database, to_database));
            let base_url = lead(&world.sandbox.base_url(), bridge, to_bridge);
            let text = format!(
                "[bridge]\nbase_url = \"{base_url}\"\napi_key = {{ env = \"IDEN_API_KEY\" }}\n\
                 [state]\npath = \"state-{name}\"\nnode = \"{name}\"\nurl = {{ file = \"url-{name}\" }}\nlease = \"2s\"\n\
                 [runtime]\nshutdown_grace = \"3s\"\n{apps}"
            );
            world.write(&format!("{name}.toml"), &text);
        }
        let watch = Watch::start(&url(&server));
        let run = Self {
            world,
            clocks: nodes.iter().map(|node| Arc::clone(&node.clock)).collect(),
            nodes: nodes.into_iter().map(|node| Arc::new(Mutex::new(node))).collect(),
            server: Mutex::new(server),
            sites: std::sync::Mutex::new(sites),
            watch,
            disturbances: std::sync::Mutex::default(),
            skipped: std::sync::atomic::AtomicUsize::default(),
        };
        for node in &run.nodes {
            node.lock().await.start(&run.world);
        }
        run.all_are_synced().await;
        run
    }

    fn apps(&self) -> Vec<uuid::Uuid> {
        self.sites.lock().expect("the apps").iter().map(|site| site.app).collect()
    }

    /// Each app finds an owner, and completes its first sync: an interrupted first sync would hold all later ones for the operator.
    async fn all_are_synced(&self) {
        let is_synced = |app: &uuid::Uuid| {
            let requests = self.world.sandbox.ledger();
            requests.iter().any(|entry| entry.app_id == Some(*app) && completes_sync(entry))
        };
        let apps = self.apps();
        let began = Instant::now();
        while !apps.iter().all(is_synced) && began.elapsed() < REST {
            sleep(Duration::from_millis(100)).await;
            // On a slow machine, the first sync may have been interrupted, and needs the operator now.
            for app in (0..apps.len()).filter(|app| began.elapsed() > REST / 8 && !is_synced(&apps[*app])) {
                // What it has left in Iden cannot be counted, so a number allows nothing.
                self.sync_with(app, app, &["--allow-removals"]).await;
            }
        }
        // Iden was told; the nodes have to record it.
        crate::support::eventually("every sync is recorded", || {
            apps.iter().all(|app| {
                let asked =
                    format!("SELECT count(*) FROM syncs WHERE app = '{app}' AND completed_at IS NOT NULL");
                block_in_place(|| {
                    self.server.try_lock().is_ok_and(|server| server.sql("postgres", &asked).trim() == "1")
                })
            })
        })
        .await;
    }

    /// Begins each step at its time. A step that lasts delays no other one.
    async fn happen(self: &Arc<Self>, plan: &Plan) {
        let mut began = Instant::now();
        let mut running = JoinSet::new();
        for Step { at, what } in plan.steps.clone() {
            sleep_until(began + Duration::from_millis(at)).await;
            let run = Arc::clone(self);
            match what {
                What::Tasks(wishes) => {
                    for wish in wishes {
                        self.world.sandbox.add_task(self.apps()[wish.app], wish.task());
                    }
                }
                What::Disturb { who, fault, lasts } => {
                    let node =
                        self.node(who).and_then(|node| Arc::clone(&self.nodes[node]).try_lock_owned().ok());
                    let Some(mut node) = node else {
                        self.skipped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        continue;
                    };
                    running.spawn(async move {
                        let disturbed = node.disturb(&run.world, fault, Duration::from_millis(lasts)).await;
                        run.disturbances.lock().expect("the disturbances").extend(disturbed);
                    });
                }
                What::Restart { crashes, lasts } => drop(running.spawn(async move {
                    let mut server = run.server.lock().await;
                    block_in_place(|| if crashes { server.crash() } else { server.stop() });
                    sleep(Duration::from_millis(lasts)).await;
                    server.restart().await;
                })),
                What::Calm => {
                    let asked = Instant::now();
                    while !self.is_calm() && asked.elapsed() < REST / 4 {
                        sleep(Duration::from_millis(50)).await;
                    }
                    began += asked.elapsed();
                }
                // Also if the node is suspended at the moment.
                What::Clock { node, shift } => self.clocks[node].step(shift),
                What::Sync { app, node } => drop(running.spawn(async move {
                    // It may fail: the node may be down.
                    run.sync(app, node).await;
                })),
            }
        }
        while let Some(ended) = running.join_next().await {
            ended.expect("a step was carried out");
        }
    }

    /// Whether nothing is disturbed at the moment, and each app has an owner.
    fn is_calm(&self) -> bool {
        let is_owned = |app: uuid::Uuid| self.watch.owner(&app.to_string()).is_some();
        self.nodes.iter().all(|node| node.try_lock().is_ok())
            && self.server.try_lock().is_ok()
            && self.apps().into_iter().all(is_owned)
    }

    fn node(&self, who: Who) -> Option<usize> {
        match who {
            Who::Node(node) => Some(node),
            Who::OwnerOf(app) => {
                let owner = self.watch.owner(&self.apps()[app].to_string())?;
                NAMES.iter().position(|name| *name == owner.node)
            }
        }
    }

    /// Requests a sync; returns whether it completed.
    async fn sync(&self, app: usize, node: usize) -> bool {
        self.sync_with(app, node, &["--allow-removals", "100"]).await
    }

    async fn sync_with(&self, app: usize, node: usize, allowed: &[&str]) -> bool {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bridgehead"));
        command.arg("--config").arg(self.world.path(format!("{}.toml", NAMES[node])));
        command.args(["sync", APPS[app], "--json"]).args(allowed).env("IDEN_API_KEY", KEY).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
        output.is_ok_and(|output| {
            let output = output.expect("the binary runs");
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains("\"completed\"")
        })
    }

    /// Waits until no task is pending.
    async fn settle(&self) -> Duration {
        let began = Instant::now();
        let is_pending = || {
            let pending = |app| self.world.sandbox.tasks(app).iter().any(|task| task["status"] == "pending");
            self.apps().into_iter().any(pending)
        };
        while is_pending() && began.elapsed() < REST {
            sleep(Duration::from_millis(50)).await;
        }
        began.elapsed()
    }

    /// Syncs each app once more, stops the nodes, and checks the ledgers.
    async fn end(&self, plan: &Plan) -> Vec<String> {
        let mut are_synced = [false; APPS.len()];
        let began = Instant::now();
        for (app, is_synced) in are_synced.iter_mut().enumerate() {
            while !*is_synced && began.elapsed() < REST {
                *is_synced = self.sync(app, app).await;
            }
        }
        for node in &self.nodes {
            node.lock().await.stop(&self.world).await;
        }
        let wishes = plan.wishes();
        let mut sites = self.sites.lock().expect("the apps");
        let mut violations = Vec::new();
        for (app, site) in sites.iter_mut().enumerate() {
            site.look_for_removals(&self.world);
            let own: Vec<&Wish> = wishes.iter().copied().filter(|wish| wish.app == app).collect();
            violations.extend(site.violations(&self.world, &own, are_synced[app]));
        }
        violations
    }

    async fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for node in &self.nodes {
            let node = node.lock().await;
            files.push((format!("node-{}.log", node.name), node.log()));
        }
        for site in self.sites.lock().expect("the apps").iter() {
            files.push((format!("target-{}.jsonl", site.name), site.ledger(&self.world)));
        }
        files
    }
}
