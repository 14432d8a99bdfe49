//! Three daemons on one PostgreSQL database, disturbed at random from a seed: processes are killed, stopped and suspended, connections to
//! the database are cut, and the database restarts. Every task must be applied exactly once. `docs/chaos.md` says how to run more seeds.

use std::collections::BTreeMap;
use std::time::Duration;

use bridgehead_test_servers::{Link, Postgres};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::time::Instant;

use crate::nodes::{LEASE, send, start};
use crate::state_database::{server, url};
use crate::support::{Daemon, World};
use crate::target::QUICK;

const NODES: [&str; 3] = ["a", "b", "c"];
/// How long everything may take to settle once the faults have ended.
const REST: Duration = Duration::from_mins(3);
const OWNER: &str =
    "SELECT node || ' ' || epoch FROM owners WHERE NOT is_released AND expires_at > clock_timestamp()";

/// A number from the environment.
fn given(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What ends a disturbance.
#[derive(Clone, Copy, Debug)]
enum Undo {
    Start(usize),
    Continue(usize),
    Connect(usize),
}

impl Undo {
    fn node(self) -> usize {
        match self {
            Self::Start(node) | Self::Continue(node) | Self::Connect(node) => node,
        }
    }
}

struct Run {
    server: Postgres,
    world: World,
    random: StdRng,
    nodes: BTreeMap<usize, Daemon>,
    links: Vec<Link>,
    /// The logs of processes that have ended.
    logs: String,
    tasks: Vec<String>,
    undo: Vec<(Instant, Undo)>,
    takeovers: Vec<Duration>,
    events: BTreeMap<&'static str, usize>,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let server = server().await;
        let world = World::new().await;
        world.script(QUICK, "");
        world.keep_state_in(&url(&server));
        let text = world.read("bridgehead.toml");
        let mut links = Vec::new();
        for node in NODES {
            let link = Link::new();
            link.lead_to(server.port);
            let port = (server.port.to_string(), link.port.to_string());
            world.write(&format!("url-{node}"), &url(&server).replace(&port.0, &port.1));
            let own = text
                .replace("path = \"state\"", &format!("path = \"state-{node}\"\nnode = \"{node}\""))
                .replace("\"state-url\"", &format!("\"url-{node}\""));
            world.write(&format!("{node}.toml"), &own);
            links.push(link);
        }
        let mut run = Self {
            server,
            world,
            random: StdRng::seed_from_u64(seed),
            nodes: BTreeMap::new(),
            links,
            logs: String::new(),
            tasks: Vec::new(),
            undo: Vec::new(),
            takeovers: Vec::new(),
            events: BTreeMap::new(),
        };
        (0..NODES.len()).for_each(|node| run.start(node));
        // The first of them creates the tables.
        run.nodes[&0].says("ready").await;
        run
    }

    fn start(&mut self, node: usize) {
        self.nodes.insert(node, start(&self.world, NODES[node]));
    }

    fn milliseconds(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(range))
    }

    /// The name of the owner and its epoch; empty if no node has a valid lease.
    fn owner(&self) -> String {
        self.server.sql("postgres", OWNER).trim().to_owned()
    }

    fn keep(&mut self, node: usize, log: &str) {
        self.logs.extend(["--- ", NODES[node], "\n", log, "\n"]);
    }

    async fn disturb(&mut self) {
        let busy: Vec<usize> = self.undo.iter().map(|(_, undo)| undo.node()).collect();
        let free: Vec<usize> = (0..NODES.len()).filter(|node| !busy.contains(node)).collect();
        let event = self.random.random_range(0..10);
        if event < 4 {
            let count = self.random.random_range(1..5);
            return self.add_tasks(count);
        }
        if event == 9 {
            *self.events.entry("database_restarts").or_default() += 1;
            self.server.stop();
            let pause = self.milliseconds(100..1500);
            tokio::time::sleep(pause).await;
            return self.server.restart().await;
        }
        if free.is_empty() {
            return;
        }
        let node = free[self.random.random_range(0..free.len())];
        let later = |after: Duration, undo| (Instant::now() + after, undo);
        match event {
            4 | 5 => {
                *self.events.entry("kills").or_default() += 1;
                let owner = self.owner();
                let killed = Instant::now();
                let daemon = self.nodes.remove(&node).expect("it runs");
                let log = daemon.kill();
                self.keep(node, &log);
                let pause = self.milliseconds(100..4000);
                self.undo.push(later(pause, Undo::Start(node)));
                if owner.starts_with(NODES[node]) && free.len() > 1 {
                    self.measure(&owner, killed).await;
                }
            }
            6 => {
                *self.events.entry("stops").or_default() += 1;
                let daemon = self.nodes.remove(&node).expect("it runs");
                // A daemon that cannot reach the database may take the whole grace period.
                let log = daemon.stop().await;
                self.keep(node, &log);
                let pause = self.milliseconds(0..2000);
                self.undo.push(later(pause, Undo::Start(node)));
            }
            7 => {
                *self.events.entry("suspensions").or_default() += 1;
                send(&self.nodes[&node], "STOP");
                let pause = self.milliseconds(500..3 * u64::try_from(LEASE.as_millis()).expect("short"));
                self.undo.push(later(pause, Undo::Continue(node)));
            }
            _ => {
                *self.events.entry("cuts").or_default() += 1;
                self.links[node].hold();
                let pause = self.milliseconds(500..3 * u64::try_from(LEASE.as_millis()).expect("short"));
                self.undo.push(later(pause, Undo::Connect(node)));
            }
        }
    }

    /// Measures how long it takes until another process owns the app.
    async fn measure(&mut self, before: &str, killed: Instant) {
        while killed.elapsed() < 3 * LEASE {
            let now = self.owner();
            if !now.is_empty() && now != before {
                return self.takeovers.push(killed.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn add_tasks(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.tasks.len();
            let account = format!("user-{number}");
            self.tasks.push(self.world.task_for("create_account", json!(account)));
        }
    }

    fn end(&mut self, undo: Undo) {
        match undo {
            Undo::Start(node) => self.start(node),
            Undo::Continue(node) => send(&self.nodes[&node], "CONT"),
            Undo::Connect(node) => self.links[node].release(),
        }
    }

    async fn happen(&mut self, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            let pause = self.milliseconds(100..900);
            tokio::time::sleep(pause).await;
            let now = Instant::now();
            let due: Vec<Undo> =
                self.undo.extract_if(.., |(at, _)| *at <= now).map(|(_, undo)| undo).collect();
            for undo in due {
                self.end(undo);
            }
            self.disturb().await;
        }
        let rest: Vec<Undo> = self.undo.drain(..).map(|(_, undo)| undo).collect();
        for undo in rest {
            self.end(undo);
        }
    }

    /// What went wrong; empty if nothing did.
    fn violations(&self) -> Vec<String> {
        let wrong = self.tasks.iter().enumerate().filter_map(|(number, task)| {
            let (status, applied) = (self.world.task(task)["status"].clone(), self.world.applied(task));
            let overlaps = self.world.overlaps(task);
            let is_right = status == "completed" && applied == 1 && !overlaps;
            let attempts = self.world.attempts(task);
            (!is_right).then(|| {
                format!("user-{number} ({task}): {status}, applied {applied} times, attempts {attempts:?}, at once: {overlaps}")
            })
        });
        wrong.collect()
    }
}

async fn chaos(seed: u64) {
    let mut run = Run::new(seed).await;
    // Some first calls are applied and never answered, or never applied. Many are applied so late that another node may have taken the app
    // over meanwhile.
    let rules = (0..200).filter_map(|number| {
        let account = format!("user-{number}");
        match number % 10 {
            2 => Some(json!({"account": account, "attempt": 1, "apply": true, "hang_until": "never"})),
            4 => Some(json!({"account": account, "attempt": 1, "until": "never"})),
            1 | 5 | 7 | 8 => Some(json!({"account": account, "attempt": 1, "delay": 3.5})),
            _ => None,
        }
    });
    run.world.rules(&rules.collect());
    run.add_tasks(8);
    run.happen(Duration::from_secs(given("CHAOS_SECONDS", 12))).await;
    let deadline = Instant::now() + REST;
    while run.world.tasks_that_are("pending") > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let violations = run.violations();
    run.takeovers.sort();
    let mut figures = json!({ "seed": seed, "tasks": run.tasks.len(), "violations": violations.len() });
    for event in ["kills", "stops", "suspensions", "cuts", "database_restarts"] {
        figures[event] = run.events.get(event).copied().unwrap_or_default().into();
    }
    figures["takeovers"] = run.takeovers.iter().map(Duration::as_secs_f64).collect();
    println!("CHAOS {figures}");
    for (node, daemon) in std::mem::take(&mut run.nodes) {
        let log = daemon.kill();
        run.keep(node, &log);
    }
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}\n{}", run.logs);
}

#[tokio::test]
async fn every_task_is_applied_once_whatever_happens_to_three_nodes() {
    chaos(given("CHAOS_SEED", 1)).await;
}
