//! After a power cut, no task is lost or done twice, and what was confirmed is there. `docs/chaos.md` explains it.
//!
//! The daemon runs with `shim.c`, which logs everything that it does to its files and kills it at some operation. From the log, the state
//! folder is built again as a disk could show it: without any part of what was not synced. The next daemon starts on that.

mod disk;
mod file;
mod journal;
mod log;

use std::fmt::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::disk::Disk;
use crate::crash::Scene;
use crate::crash::evidence::ledger::Ledger;
use crate::crash::evidence::people::{Iden, Size};
use crate::crash::evidence::{Evidence, syncs};
use crate::support::eventually;

const SIGKILL: i32 = 9;

/// How often the power is cut in a run.
const CUTS: usize = 4;

/// At how many operations each life of the daemon is cut in retrospect.
const POINTS: usize = 12;

const APP: &str = "tasks = { poll_interval = \"100ms\", timeout = \"2s\", concurrency = 12 }\n\
    sync = { every = \"1s\", on_start = true, guard = { max_removals = 60, max_removal_percent = 25, min_records = 10 } }\n";

/// The state folder on the disk. Its parent does not exist at first.
const STATE: &str = "var/state";

/// What the log says about state that was lost, and never after a power cut.
const LOST: [&str; 3] =
    ["may already have been started", "was missing or out of date", "the audit log cannot be"];

/// A daemon on a disk that loses its power.
struct Run {
    scene: Scene,
    rng: StdRng,
    iden: Iden,
    /// The folder of the disk, which contains the state folder.
    root: PathBuf,
    disk: Disk,
    violations: Vec<String>,
    figures: Figures,
}

#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
struct Figures {
    seed: u64,
    cuts: usize,
    operations: usize,
    points: usize,
    tasks: usize,
    syncs: usize,
    violations: usize,
}

impl Run {
    async fn new(seed: u64, lies: bool) -> Self {
        let scene = Scene::new([0.0, 0.3], APP).await;
        let world = &scene.world;
        let configuration =
            world.read("bridgehead.toml").replace("path = \"state\"", &format!("path = \"disk/{STATE}\""));
        world.write("bridgehead.toml", &format!("{configuration}\n[audit]\nmax_bytes = 65536\nkeep = 2\n"));
        std::fs::DirBuilder::new().mode(0o700).create(world.path("disk")).expect("a folder");
        let root = world.path("disk").canonicalize().expect("a folder");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/power_cut/shim.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"]);
        let status = compiler.arg(world.path("shim.so")).arg(source).arg("-pthread").status();
        assert!(status.expect("a C compiler").success(), "the shim does not compile");
        Self {
            scene,
            rng: StdRng::seed_from_u64(seed),
            iden: Iden::new(Size::LARGE),
            root,
            disk: Disk::new(lies),
            violations: Vec::new(),
            figures: Figures { seed, ..Figures::default() },
        }
    }

    fn add_tasks(&mut self, count: usize) {
        for _ in 0..count {
            let wish = self.iden.wish(&mut self.rng);
            self.scene.wish(wish);
        }
    }

    /// Runs a daemon until the power is cut at a random operation, and leaves what the disk shows then.
    async fn live(&mut self) {
        let log = self.scene.world.path(format!("operations-{}", self.figures.cuts));
        let shim = self.scene.world.path("shim.so");
        let most = *[60, 300, 1500, 1500].get(self.rng.random_range(0..4)).expect("a number");
        let at = self.rng.random_range(1..most).to_string();
        let [shim, root, log_path] = [&shim, &self.root, &log].map(|path| path.display().to_string());
        self.add_tasks(6);
        self.scene.start_with(&[
            ("LD_PRELOAD", &shim),
            ("POWER_CUT_FOLDER", &root),
            ("POWER_CUT_LOG", &log_path),
            ("POWER_CUT_AT", &at),
        ]);
        let status = self.until_it_ends(true).await;
        if status.signal() != Some(SIGKILL) {
            self.violations
                .push(format!("a daemon starts and runs after a power cut: it ended with {status}"));
        }
        let operations = log::read(&log);
        self.figures.cuts += 1;
        self.figures.operations += operations.len();
        self.figures.points += POINTS;
        let found = journal::check(&self.disk, &operations, &self.scene, &self.root, POINTS, &mut self.rng);
        self.violations.extend(found.await);
        for operation in &operations {
            self.disk.apply(&operation.what);
        }
        let nameless = self.disk.nameless();
        self.violations.extend(
            nameless
                .iter()
                .filter(|_| !self.disk.lies)
                .map(|path| format!("a file that is synced has a durable name: {}", path.display())),
        );
        self.disk.cut(&mut self.rng);
        self.disk.write_to(&self.root.clone(), &self.root.clone(), &mut self.rng);
    }

    /// Waits for the end of the daemon. Iden has tasks all the time if `is_busy`.
    async fn until_it_ends(&mut self, is_busy: bool) -> ExitStatus {
        let mut status = None;
        eventually("the daemon ends", || {
            status = self.scene.ended();
            if is_busy && status.is_none() && self.scene.is_done() {
                self.add_tasks(3);
            }
            status.is_some()
        })
        .await;
        status.expect("it has ended")
    }

    /// Lets everything settle without power cuts, and says what is wrong.
    async fn end(mut self) -> (Vec<String>, Figures) {
        self.scene.start_with(&[]);
        eventually("every task has ended, or the daemon has", || {
            self.scene.is_done() || self.scene.ended().is_some()
        })
        .await;
        let pid = self.scene.pid().to_string();
        drop(Command::new("kill").args(["-TERM", &pid]).status());
        let status = self.until_it_ends(false).await;
        if !status.success() {
            self.violations.push(format!("SIGTERM ends in order: it ended with {status}"));
        }
        self.sync().await;
        self.look_at_the_log().await;
        self.violations.extend(Some(self.scene.violations()).filter(|found| !found.is_empty()));
        let ledger = Ledger::read(&self.scene.world.path("target"));
        let evidence = Evidence {
            sandbox: &self.scene.world.sandbox,
            app: self.scene.world.app,
            wishes: &self.scene.wishes,
            ledger: &ledger,
            state_was_damaged: false,
            state_was_replaced: false,
        };
        self.violations
            .extend(syncs::equal(&evidence).iter().take(3).map(|violation| format!("{violation:?}")));
        self.figures.tasks = self.scene.wishes.len();
        self.figures.syncs = syncs::replay(&evidence).completed;
        self.figures.violations = self.violations.len();
        (std::mem::take(&mut self.violations), self.figures)
    }

    /// A last sync brings Iden up to date. First syncs that were cut off again and again are held until an operator has looked.
    async fn sync(&mut self) {
        let was_completed = self.scene.world.sandbox.ledger().iter().any(|entry| {
            entry.method == "POST" && entry.path.ends_with("/complete/") && entry.handled == Some(202)
        });
        let mut is_clean = self.run(&["sync", "hr"]).await;
        if !is_clean && !was_completed {
            is_clean = self.run(&["sync", "hr", "--allow-removals"]).await;
        }
        if !is_clean {
            let log = self.scene.world.read("log");
            let end: Vec<&str> = log.lines().rev().take(5).collect();
            self.violations.push(format!("a last sync is clean; the log, backwards: {end:#?}"));
        }
    }

    /// Whether a command succeeds.
    async fn run(&self, arguments: &[&str]) -> bool {
        let mut command = self.scene.command(arguments);
        let status = tokio::task::spawn_blocking(move || command.status()).await.expect("it was waited for");
        status.is_ok_and(|status| status.success())
    }

    async fn look_at_the_log(&mut self) {
        let log = self.scene.world.read("log");
        for line in log
            .lines()
            .filter(|line| line.contains("panicked") || LOST.iter().any(|lost| line.contains(lost)))
        {
            self.violations.push(format!("a power cut is survived without a doubt: {line}"));
        }
        let verified = self.scene.world.run(&["audit", "verify"]).await;
        // A hole in what was not synced stays, and an entry reports it.
        let audit = self.scene.world.bytes_below("disk");
        let is_reported =
            String::from_utf8_lossy(&audit).contains("lines near its end are not as they were written");
        if !verified.status.success() && !is_reported {
            self.violations.push(format!("the audit log is one chain, or reports a hole: {verified:?}"));
        }
    }
}

/// Runs one seed. Returns what was wrong.
async fn cut_the_power(seed: u64, lies: bool) -> (Vec<String>, Figures) {
    let mut run = Run::new(seed, lies).await;
    for _ in 0..CUTS {
        run.live().await;
        if lies && !run.violations.is_empty() {
            return (std::mem::take(&mut run.violations), run.figures);
        }
    }
    run.end().await
}

#[tokio::test]
async fn power_cuts_neither_lose_nor_repeat_tasks() {
    let given = std::env::var("CHAOS_SEED").ok().map(|text| text.parse().expect("a number"));
    let seeds: Vec<u64> = given.map_or_else(|| (1..=2).collect(), |seed| vec![seed]);
    let runs = seeds.iter().map(|seed| cut_the_power(*seed, false));
    let mut wrong = String::new();
    for (violations, figures) in futures::future::join_all(runs).await {
        println!("CHAOS {}", serde_json::to_string(&figures).expect("figures are JSON"));
        for violation in violations {
            writeln!(wrong, "seed {}: {violation}", figures.seed).expect("a string takes everything");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn disk_that_reports_syncs_and_does_nothing_breaks_promises() {
    let runs = (1..=3).map(|seed| cut_the_power(seed, true));
    let found: Vec<String> =
        futures::future::join_all(runs).await.into_iter().flat_map(|(violations, _)| violations).collect();
    assert!(found.iter().any(|violation| violation.contains("the journal does not know")), "{found:#?}");
}
