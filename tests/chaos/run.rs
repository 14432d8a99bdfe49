//! Runs a plan against the real binary, waits until everything has settled, and checks the result.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use bridgehead::sandbox::{Cleanup, FaultId};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::evidence::Violation;
use crate::evidence::ledger::Ledger;
use crate::evidence::people::{self, Size, Wish};
use crate::plan::{self, Damage, Event, Plan, TIMEOUT};
use crate::support::World;

#[path = "judge.rs"]
mod judge;

/// The token with which the target is accessed.
const TOKEN: &str = "token-that-must-never-leak-0815";

/// How long everything may take to settle once the faults have ended. Reports wait for up to half a minute after many failures, and for
/// minutes after a rejected key.
const REST: Duration = Duration::from_mins(4);

const CONFIGURATION: &str = r#"connector = "exec"
[apps.hr.tasks]
poll_interval = "200ms"
timeout = "TIMEOUTs"
give_up_after = "20s"
hold_for = "20s"
[apps.hr.sync]
every = "3s"
guard = { max_removals = 60, max_removal_percent = 25, min_records = 10 }
[apps.hr.target]
command = ["python3", "target.py"]
settings = { folder = "FOLDER", token = { env = "HR_TOKEN" } }
hang_timeout = "1s"
max_in_flight = 16
[runtime]
shutdown_grace = "2s"
"#;

/// The figures of a run.
#[derive(Debug, Default, serde::Serialize)]
pub(crate) struct TypeCounts {
    pub(crate) seed: u64,
    seconds: f64,
    drained_after: f64,
    kills: u32,
    terminations: u32,
    connector_kills: u32,
    damages: u32,
    restores: u32,
    second_daemons: u32,
    clock_steps: u32,
    forgotten: usize,
    bridge_faults: u64,
    target_faults: usize,
    tasks: usize,
    completed: usize,
    failed: usize,
    calls: usize,
    creates: usize,
    syncs_started: usize,
    syncs_completed: usize,
    syncs_abandoned: usize,
    removed: usize,
    unnoticed: usize,
    pub(crate) violations: usize,
}

/// A run of one plan.
struct Run {
    world: World,
    log: PathBuf,
    /// The length of the log when the daemon was last started.
    log_before: usize,
    daemon: Option<Child>,
    figures: TypeCounts,
    wishes: Vec<Wish>,
    faults: BTreeSet<FaultId>,
    violations: Vec<Violation>,
    /// How far the next daemon's clock is set ahead, in seconds.
    ahead: i64,
    /// Whether the whole state was replaced by an older copy.
    was_replaced: bool,
    /// The copy of the whole state, made at the same time as one of the target.
    backup: Option<Backup>,
    /// How the target behaves, and the time as of which it lists its accounts, in nanoseconds.
    behaviour: Value,
    lists_as_of: Option<i128>,
}

/// A copy of the whole state, paired with the target's state at the same time.
#[derive(Clone, Copy)]
struct Backup {
    /// In nanoseconds.
    made_at: i128,
    /// When Iden had last completed a sync at that time.
    synced_at: Option<jiff::Timestamp>,
}

/// Runs a plan from start to verdict; fails with the full history of every violation.
pub(crate) async fn run(plan: Plan) {
    let began = Instant::now();
    let world = World::new().await;
    people::settle(&world.path("target"), Size::LARGE);
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/target.py"), world.path("target.py"))
        .expect("the connector");
    let folder = world.path("target").display().to_string();
    let text = CONFIGURATION.replace("FOLDER", &folder).replace("TIMEOUT", &TIMEOUT.to_string());
    world.configure(&text);
    let log = world.path("daemon.log");
    let figures = TypeCounts { seed: plan.seed, ..TypeCounts::default() };
    let mut run = Run {
        world,
        log,
        log_before: 0,
        daemon: None,
        figures,
        wishes: Vec::new(),
        faults: BTreeSet::new(),
        violations: Vec::new(),
        ahead: 0,
        was_replaced: false,
        backup: None,
        behaviour: Value::Null,
        lists_as_of: None,
    };
    let (seed, fresh_end) = (plan.seed, plan.fresh_end);
    run.happen(plan).await;
    run.rest(seed, fresh_end).await;
    run.judge();
    run.figures.seconds = began.elapsed().as_secs_f64();
    run.tell();
}

impl Run {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        command
            .env("HR_TOKEN", TOKEN)
            .env("BRIDGEHEAD_TEST_CLOCK_AHEAD", self.ahead.to_string())
            .env("BRIDGEHEAD__BRIDGE__REQUEST_TIMEOUT", "3s")
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        command
    }

    fn start(&mut self) {
        if self.daemon.is_none() {
            self.log_before = std::fs::read(&self.log).map_or(0, |log| log.len());
            self.daemon = Some(self.command(&["run"]).spawn().expect("the binary starts"));
        }
    }

    /// Whether the daemon that was last started has logged its start.
    fn has_started(&self) -> bool {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let said = log.get(self.log_before..).unwrap_or_default();
        String::from_utf8_lossy(said).contains("bridgehead is starting")
    }

    fn complain(&mut self, rule: &'static str, what: String) {
        self.violations.push(Violation { rule, task: None, what });
    }

    /// Runs all events of the plan at their times.
    async fn happen(&mut self, plan: Plan) {
        let began = Instant::now();
        let end = began + plan.length;
        // What to undo or start, and when.
        let mut later: Vec<(Instant, Undo)> = Vec::new();
        let mut events = plan.events.into_iter().peekable();
        self.start();
        loop {
            let next = events.peek().map(|(at, _)| began + *at);
            let undo = later.iter().map(|(at, _)| *at).min();
            let Some(moment) = next.into_iter().chain(undo).min().filter(|moment| *moment < end) else {
                break;
            };
            self.until(moment).await;
            for (_, undo) in later.extract_if(.., |(at, _)| *at <= moment) {
                self.undo(&undo);
            }
            if next.is_some_and(|at| at <= moment)
                && let Some((_, event)) = events.next()
            {
                later.extend(self.event(event).await.map(|(after, undo)| (Instant::now() + after, undo)));
            }
        }
        self.until(end).await;
        for (_, undo) in later {
            self.undo(&undo);
        }
    }

    /// Waits, and checks whether the daemon ended unexpectedly.
    async fn until(&mut self, moment: Instant) {
        tokio::time::sleep_until(moment).await;
        if let Some(daemon) = &mut self.daemon
            && let Some(status) = daemon.try_wait().expect("it can be waited for")
        {
            self.daemon = None;
            self.complain("the daemon goes on", format!("it ended by itself: {status}"));
            self.start();
        }
    }

    async fn event(&mut self, event: Event) -> Option<(Duration, Undo)> {
        match event {
            Event::Tasks(wishes) => {
                for wish in wishes {
                    self.world.sandbox.add_task(self.world.app, wish.task());
                    self.wishes.push(wish);
                }
            }
            Event::Kill(pause) => {
                let mut daemon = self.daemon.take()?;
                daemon.kill().expect("it can be killed");
                daemon.wait().expect("it ends");
                self.figures.kills += 1;
                self.look_for_secrets_in_the_state(false);
                return Some((pause, Undo::Start));
            }
            Event::Terminate => {
                self.terminate().await;
                self.start();
            }
            Event::KillConnector => self.kill_connector(),
            Event::Fault(fault, lasts) => {
                let id = self.world.sandbox.add_fault(*fault);
                self.faults.insert(id);
                return Some((lasts, Undo::Fault(id)));
            }
            Event::Deny(lasts) => {
                self.world.sandbox.deny("default", self.world.app).expect("the key is there");
                return Some((lasts, Undo::Grant));
            }
            Event::FailCleanup(times) => {
                self.world.sandbox.set_cleanup(Cleanup::default().failing(times));
            }
            Event::Target(behaviour) => self.set_target(behaviour),
            Event::Backup => self.back_up(),
            Event::Restore(lasts) => return self.restore().then_some((lasts, Undo::Present)),
            Event::State(damage) => {
                let mut daemon = self.daemon.take()?;
                daemon.kill().expect("it can be killed");
                daemon.wait().expect("it ends");
                self.damage(damage);
                self.start();
            }
            Event::SecondDaemon => self.second_daemon().await,
            Event::Clock(ahead) => {
                self.ahead = ahead;
                self.figures.clock_steps += 1;
                self.terminate().await;
                self.start();
            }
        }
        None
    }

    /// Damages the state as a disk, a backup or an operator's mistake would. A copy of the previous state is kept for a later restore.
    fn damage(&mut self, damage: Damage) {
        let (state, old) = (self.world.path("state"), self.world.path("old-state"));
        if !state.exists() {
            // The daemon was killed before it created its state.
            return;
        }
        let has_copy = old.join("tasks.db").exists();
        let copied =
            Command::new("cp").args(["-a", "-T"]).arg(&state).arg(self.world.path("new-copy")).status();
        assert!(copied.expect("cp runs").success());
        self.figures.damages += 1;
        match damage {
            Damage::NoJournal => {
                for name in ["tasks.db", "tasks.db-wal", "tasks.db-shm"] {
                    drop(std::fs::remove_file(state.join(name)));
                }
            }
            Damage::EmptyJournal => {
                std::fs::write(state.join("tasks.db"), "").expect("a file");
                drop(std::fs::remove_file(state.join("tasks.db-wal")));
            }
            Damage::NoLog => drop(std::fs::remove_file(state.join("tasks.db-wal"))),
            Damage::OldJournal if has_copy => {
                for name in ["tasks.db", "tasks.db-wal", "tasks.db-shm"] {
                    drop(std::fs::remove_file(state.join(name)));
                    drop(std::fs::copy(old.join(name), state.join(name)));
                }
            }
            Damage::OldState if has_copy => {
                std::fs::remove_dir_all(&state).expect("the state");
                std::fs::rename(&old, &state).expect("the old state");
                self.was_replaced = true;
            }
            Damage::OldJournal | Damage::OldState => self.figures.damages -= 1,
        }
        drop(std::fs::remove_dir_all(&old));
        std::fs::rename(self.world.path("new-copy"), &old).expect("a copy");
    }

    /// Copies the state and notes the time, so that the target's listings can be restored to it; does nothing if a backup exists.
    fn back_up(&mut self) {
        if self.backup.is_some() {
            return;
        }
        let Some(mut daemon) = self.daemon.take() else { return };
        daemon.kill().expect("it can be killed");
        daemon.wait().expect("it ends");
        self.figures.kills += 1;
        let (state, copy) = (self.world.path("state"), self.world.path("backup"));
        drop(std::fs::remove_dir_all(&copy));
        let copied = Command::new("cp").args(["-a", "-T"]).arg(&state).arg(&copy).status();
        // If the copy does not know Iden's time of its last sync, a later time may be taken for it: such a copy proves nothing.
        if copied.expect("cp runs").success() && knows_its_last_sync(&copy) {
            self.backup = Some(Backup { made_at: now(), synced_at: self.synced_at() });
        }
        self.start();
    }

    /// Restores the copies: the state, and the target's listings. Returns false if there is no copy that Iden can distinguish from the
    /// present, which requires at least one sync completed since.
    fn restore(&mut self) -> bool {
        let Some(backup) = self.backup.filter(|backup| self.synced_at() > backup.synced_at) else {
            return false;
        };
        let Some(mut daemon) = self.daemon.take() else { return false };
        daemon.kill().expect("it can be killed");
        daemon.wait().expect("it ends");
        self.backup = None;
        self.figures.restores += 1;
        self.figures.damages += 1;
        self.was_replaced = true;
        let state = self.world.path("state");
        std::fs::remove_dir_all(&state).expect("the state");
        std::fs::rename(self.world.path("backup"), &state).expect("the copy");
        self.lists_as_of = Some(backup.made_at);
        self.set_target(self.behaviour.clone());
        self.start();
        true
    }

    /// When Iden last completed a sync.
    fn synced_at(&self) -> Option<jiff::Timestamp> {
        self.world.sandbox.stats(self.world.app).and_then(|app| app.last_synced_at)
    }

    /// A second daemon on the same state must not run at the same time as the first, whatever happened to the lock file.
    async fn second_daemon(&mut self) {
        if self.daemon.is_none() || !self.has_started() {
            return;
        }
        self.figures.second_daemons += 1;
        drop(std::fs::remove_file(self.world.path("state/lock")));
        let mut second = self.command(&["run"]).spawn().expect("the binary starts");
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut first_ended = false;
        loop {
            if second.try_wait().expect("it can be waited for").is_some() {
                break;
            }
            // The first daemon may end instead, as long as the two do not both work.
            first_ended |=
                self.daemon.as_mut().is_some_and(|daemon| daemon.try_wait().is_ok_and(|s| s.is_some()));
            if Instant::now() > deadline || first_ended {
                second.kill().expect("it can be killed");
                second.wait().expect("it ends");
                if !first_ended {
                    self.complain("one daemon works on a state", "a second one ran beside the first".into());
                }
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A daemon that lost its lock stops executing until it is restarted, and logs this.
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().expect("it can be killed");
            daemon.wait().expect("it ends");
        }
        self.start();
    }

    fn undo(&mut self, undo: &Undo) {
        match undo {
            Undo::Start => self.start(),
            Undo::Present => {
                self.lists_as_of = None;
                self.set_target(self.behaviour.clone());
            }
            Undo::Fault(id) => self.remove_fault(*id),
            Undo::Grant => self.world.sandbox.grant("default", self.world.app).expect("the key is there"),
        }
    }

    fn remove_fault(&mut self, id: FaultId) {
        if self.faults.remove(&id) {
            let all = self.world.sandbox.faults();
            self.figures.bridge_faults +=
                all.iter().find(|fault| fault.id == id).map_or(0, |fault| fault.fired);
            self.world.sandbox.remove_fault(id);
        }
    }

    /// Switches to another behavior of the target, atomically.
    fn set_target(&mut self, behaviour: Value) {
        self.behaviour = behaviour;
        let mut behaviour = self.behaviour.clone();
        behaviour["as_of"] = json!(self.lists_as_of.map(|at| i64::try_from(at).expect("a time of today")));
        let (new, file) = (self.world.path("target/faults.new"), self.world.path("target/faults.json"));
        std::fs::write(&new, behaviour.to_string()).expect("a file");
        std::fs::rename(new, file).expect("a file");
    }

    /// Sends SIGTERM; the daemon must shut down cleanly, whatever is in progress.
    async fn terminate(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        self.figures.terminations += 1;
        // Like a service manager, it does not stop a daemon that has barely started.
        let deadline = Instant::now() + Duration::from_mins(1);
        while !self.has_started() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let status = Command::new("kill").arg("-TERM").arg(daemon.id().to_string()).status();
        assert!(status.expect("kill runs").success(), "the daemon is gone");
        // Time for the grace period, the connector's shutdown, and a slow machine.
        let deadline = Instant::now() + Duration::from_mins(1);
        let ended: Option<ExitStatus> = loop {
            match daemon.try_wait().expect("it can be waited for") {
                None if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
                ended => break ended,
            }
        };
        match ended {
            Some(status) if status.success() => {}
            Some(status) => self.complain("SIGTERM ends in order", format!("it ended with {status}")),
            None => {
                self.complain("SIGTERM ends in order", "it did not end within a minute".into());
                daemon.kill().expect("it can be killed");
                daemon.wait().expect("it ends");
            }
        }
        self.look_for_secrets_in_the_state(false);
    }

    /// SIGKILL of the connector's process, if it is still the one that this run's daemon started.
    fn kill_connector(&mut self) {
        let Some(daemon) = self.daemon.as_ref().map(Child::id) else { return };
        let ledger = Ledger::read(&self.world.path("target"));
        let Some(pid) = ledger.of_kind("started").last().and_then(|event| event.raw["pid"].as_u64()) else {
            return;
        };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        if parent.is_some_and(|parent| parent.trim() == daemon.to_string()) {
            let killed = Command::new("kill").arg("-KILL").arg(pid.to_string()).status();
            self.figures.connector_kills += u32::from(killed.is_ok_and(|status| status.success()));
        }
    }

    /// Ends the faults, lets everything drain, and runs a last sync that brings Iden up to date.
    async fn rest(&mut self, seed: u64, fresh: bool) {
        for id in self.faults.clone() {
            self.remove_fault(id);
        }
        self.world.sandbox.set_cleanup(Cleanup::default());
        self.world.sandbox.grant("default", self.world.app).expect("the key is there");
        self.set_target(plan::peace(seed));
        if fresh {
            self.terminate().await;
        }
        self.start();
        let began = Instant::now();
        while self.world.tasks_that_are("pending") > 0 && began.elapsed() < REST {
            self.until(Instant::now() + Duration::from_millis(50)).await;
        }
        self.figures.drained_after = began.elapsed().as_secs_f64();
        self.terminate().await;
        let mut status = self.command(&["sync", "hr"]).status().expect("the binary runs");
        // After lost state, or a first sync that was killed repeatedly, syncs are held until an operator has looked: what they show is what
        // the target contains.
        let was_completed = self.world.sandbox.ledger().iter().any(|entry| {
            entry.method == "POST" && entry.path.contains("/complete/") && entry.handled == Some(202)
        });
        if (self.figures.damages > 0 || !was_completed) && !status.success() {
            status = self.command(&["sync", "hr", "--allow-removals"]).status().expect("the binary runs");
        }
        if !status.success() {
            self.complain("a last sync is clean", format!("bridgehead sync ended with {status}"));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            drop(daemon.kill());
            drop(daemon.wait());
        }
    }
}

/// The current time in the format of the target's ledger, in nanoseconds.
fn now() -> i128 {
    jiff::Timestamp::now().as_nanosecond()
}

/// Whether a copy of the state knows Iden's time of the last sync, and has an end for every sync.
fn knows_its_last_sync(copy: &Path) -> bool {
    const LOOK: &str = "import sqlite3, sys\nsys.exit(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM syncs \
        WHERE iden_synced_at IS NOT NULL AND iden_pending_at IS NULL').fetchone()[0] != 1)";
    let looked = Command::new("python3").args(["-c", LOOK]).arg(copy.join("listings.db")).status();
    looked.expect("python3 runs").success()
}

/// Ends the effect of an event.
enum Undo {
    Start,
    Present,
    Fault(FaultId),
    Grant,
}
