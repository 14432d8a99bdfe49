//! A simulated run from start to verdict.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use bridgehead::config;
use bridgehead::journal::RunReason;
use bridgehead::runtime::sync::{self, SyncResult};
use bridgehead::sandbox::{Cleanup, FaultId, Options, Sandbox};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;
use uuid::Uuid;

use crate::bridge::Delays;
use crate::connector::TOKEN;
use crate::daemon::{self, Daemon};
use crate::evidence::people::{self, Size, Wish};
use crate::evidence::{Evidence, Violation, rules, syncs};
use crate::life::{Crash, Events, Outage};
use crate::plan;
use crate::schedule::{Event, Schedule};
use crate::state::{Kind, State};
use crate::target::Target;

/// The API key of the Bridge; nothing may ever show it.
pub(crate) const KEY: &str = "key-that-must-never-leak-4711";
/// The start time of every run.
pub(crate) const BEGINNING: &str = "2026-01-05T09:00:00Z";
const APP: &str = "11111111-1111-4111-8111-111111111111";

/// How long everything may take to settle once the faults have ended, in simulated time.
pub(crate) const REST: Duration = Duration::from_mins(10);
/// How often a last sync is tried again.
const TRIES: usize = 3;

/// The randomness of a run, used in the order of its events.
#[derive(Clone)]
pub(crate) struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub(crate) fn unit(&self) -> f64 {
        self.0.lock().unwrap().random()
    }

    pub(crate) fn chance(&self, share: f64) -> bool {
        self.unit() < share
    }

    pub(crate) fn below(&self, count: u32) -> u32 {
        self.0.lock().unwrap().random_range(0..count)
    }

    pub(crate) fn up_to(&self, most: u64) -> u64 {
        self.0.lock().unwrap().random_range(0..=most)
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.lock().unwrap().random()
    }
}

/// Everything that outlives a process.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) target: Arc<Target>,
    pub(crate) events: Arc<Events>,
    pub(crate) state: State,
    pub(crate) dice: Dice,
    pub(crate) delays: Delays,
    pub(crate) settings: config::App,
    /// How far the next process's clock is set ahead, in seconds.
    pub(crate) ahead: i64,
    app: Uuid,
    daemon: Option<Daemon>,
    wishes: Vec<Wish>,
    faults: BTreeSet<FaultId>,
    violations: Vec<Violation>,
    figures: TypeCounts,
}

/// The figures of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct TypeCounts {
    pub(crate) events: u64,
    pub(crate) tasks: u64,
    pub(crate) completed: u64,
    pub(crate) deaths: u64,
    pub(crate) syncs: u64,
    pub(crate) removed: u64,
    pub(crate) simulated_seconds: u64,
}

impl TypeCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.tasks += other.tasks;
        self.completed += other.completed;
        self.deaths += other.deaths;
        self.syncs += other.syncs;
        self.removed += other.removed;
        self.simulated_seconds += other.simulated_seconds;
    }
}

/// The result of a seed.
pub(crate) struct Verdict {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) figures: TypeCounts,
}

impl Verdict {
    /// The violations with their histories; also all events if `SIM_TRACE` is set.
    pub(crate) fn story(&self) -> String {
        let mut story = self.violations.iter().take(50).cloned().collect::<Vec<_>>().join("\n");
        if std::env::var_os("SIM_TRACE").is_some() {
            story.push_str("\nevents:\n");
            story.push_str(&self.trace.join("\n"));
        }
        story
    }
}

thread_local! {
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// Runs a seed, and returns the verdict.
pub(crate) fn simulate(seed: u64) -> Verdict {
    simulate_on(kind(), seed)
}

/// The same with this kind of state.
pub(crate) fn simulate_on(kind: Kind, seed: u64) -> Verdict {
    run(kind, seed, Schedule::new(seed), Events::default(), daemon::settings(APP), Delays::new(seed, false))
}

/// Runs a seed with a daemon that does not verify what a connector reports.
pub(crate) fn simulate_credulously(seed: u64) -> Verdict {
    let mut settings = daemon::settings(APP);
    settings.tasks.verify = false;
    run(kind(), seed, Schedule::new(seed), Events::default(), settings, Delays::new(seed, false))
}

/// Runs a seed without faults, except for one crash.
pub(crate) fn simulate_quietly(seed: u64, crash: Option<Crash>) -> Verdict {
    let events = Events::new(crash);
    run(kind(), seed, Schedule::quiet(seed), events, daemon::settings(APP), Delays::new(seed, false))
}

/// Runs a seed in which the state also cannot be written for up to a minute.
pub(crate) fn simulate_full(seed: u64) -> Verdict {
    let dice = Dice::new(!seed);
    let outage = Outage {
        at: dice.up_to(1500),
        lasts: Duration::from_secs(1 + dice.up_to(60)),
        is_first_applied: dice.chance(0.5),
    };
    let events = Events::with_outage(outage);
    run(kind(), seed, Schedule::new(seed), events, daemon::settings(APP), Delays::new(seed, false))
}

/// Runs a seed without faults, except that the state cannot be written for some time.
pub(crate) fn simulate_outage(seed: u64, outage: Outage) -> Verdict {
    let events = Events::with_outage(outage);
    run(kind(), seed, Schedule::quiet(seed), events, daemon::settings(APP), Delays::new(seed, false))
}

/// Runs a seed in which most requests to complete a sync outlive their process.
pub(crate) fn simulate_late(seed: u64) -> Verdict {
    run(kind(), seed, Schedule::new(seed), Events::default(), daemon::settings(APP), Delays::new(seed, true))
}

/// In memory, unless `SIM_STATE` says otherwise.
fn kind() -> Kind {
    match std::env::var("SIM_STATE").as_deref() {
        Err(_) | Ok("memory") => Kind::Memory(BEGINNING.parse().expect("a time")),
        Ok("sqlite") => Kind::Sqlite,
        Ok(other) => panic!("SIM_STATE is memory or sqlite, not {other}"),
    }
}

/// Counts panics of this thread, which runs everything of a simulation. The runtime catches panics of connectors and of its own loops.
pub(crate) fn count_panics() {
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            before(panic);
        }));
    });
    PANICS.set(0);
}

/// The panics of this thread since they were last counted.
pub(crate) fn panics() -> u64 {
    PANICS.take()
}

#[test]
fn panic_is_detected() {
    count_panics();
    let panicked = std::panic::catch_unwind(|| panic!("on purpose"));
    assert!(panicked.is_err());
    assert_eq!(PANICS.get(), 1);
}

fn run(
    kind: Kind,
    seed: u64,
    schedule: Schedule,
    events: Events,
    settings: config::App,
    delays: Delays,
) -> Verdict {
    count_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread");
    runtime.block_on(async {
        let mut world = World::new(kind, seed, events, settings, delays);
        world.happen(schedule).await;
        world.judge()
    })
}

impl World {
    fn new(kind: Kind, seed: u64, events: Events, settings: config::App, delays: Delays) -> Self {
        let options = Options {
            api_key: KEY.into(),
            started_at: Some(BEGINNING.parse().expect("a time")),
            ..Options::default()
        };
        let sandbox = Arc::new(Sandbox::in_process(options).expect("a sandbox"));
        let app: Uuid = APP.parse().expect("an id");
        sandbox.add_app(app, "HR");
        let target = Arc::new(Target::new(Arc::clone(&sandbox), people::settled(Size::SMALL)));
        Self {
            seed,
            sandbox,
            target,
            events: Arc::new(events),
            state: State::new(kind),
            dice: Dice::new(seed),
            delays,
            settings,
            ahead: 0,
            app,
            daemon: None,
            wishes: Vec::new(),
            faults: BTreeSet::new(),
            violations: Vec::new(),
            figures: TypeCounts::default(),
        }
    }

    fn start(&mut self) {
        if self.daemon.is_none() {
            self.daemon = Some(Daemon::start(self).run());
        }
    }

    async fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill().await;
            self.figures.deaths += 1;
            self.look_for_secrets_in_the_state();
        }
    }

    async fn terminate(&mut self) {
        if let Some(daemon) = self.daemon.take()
            && !daemon.terminate().await
        {
            self.complain("a stop ends in order", "it did not end within a minute".into());
        }
    }

    fn complain(&mut self, rule: &'static str, what: String) {
        self.violations.push(Violation { rule, task: None, what });
    }

    /// Runs all events of the schedule, lets everything settle, and runs a last sync.
    async fn happen(&mut self, schedule: Schedule) {
        let began = Instant::now();
        let (end, fresh_end) = (began + schedule.length, schedule.fresh_end);
        let mut later: Vec<(Instant, Undo)> = Vec::new();
        let mut events = schedule.events.into_iter().peekable();
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
        self.rest(fresh_end).await;
        self.figures.simulated_seconds = began.elapsed().as_secs();
    }

    /// Lets time pass. If a crash ends the process meanwhile, it is restarted shortly after.
    async fn until(&mut self, moment: Instant) {
        loop {
            let Some(daemon) = &self.daemon else { return tokio::time::sleep_until(moment).await };
            let life = Arc::clone(&daemon.life);
            tokio::select! {
                biased;
                () = life.ended() => {}
                () = tokio::time::sleep_until(moment) => {
                    if daemon.has_ended() {
                        self.complain("the daemon continues", "it ended by itself".into());
                        self.kill().await;
                        self.start();
                    }
                    return;
                }
            }
            self.kill().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.start();
        }
    }

    async fn event(&mut self, event: Event) -> Option<(Duration, Undo)> {
        match event {
            Event::Tasks(wishes) => {
                for wish in wishes {
                    self.sandbox.add_task(self.app, wish.task());
                    self.wishes.push(wish);
                }
            }
            Event::Kill(pause) => {
                self.kill().await;
                return Some((pause, Undo::Start));
            }
            Event::Terminate => {
                self.terminate().await;
                self.start();
            }
            Event::KillConnector => {
                if let Some(daemon) = &self.daemon {
                    daemon.process.die();
                }
            }
            Event::Fault(fault, lasts) => {
                let id = self.sandbox.add_fault(*fault);
                self.faults.insert(id);
                return Some((lasts, Undo::Fault(id)));
            }
            Event::Deny(lasts) => {
                self.sandbox.deny("default", self.app).expect("the key found");
                return Some((lasts, Undo::Grant));
            }
            Event::FailCleanup(times) => self.sandbox.set_cleanup(Cleanup::default().failing(times)),
            Event::Target(behaviour) => self.target.behave(behaviour),
            Event::Clock(ahead) => {
                self.ahead = ahead;
                self.terminate().await;
                self.start();
            }
        }
        None
    }

    fn undo(&mut self, undo: &Undo) {
        match undo {
            Undo::Start => self.start(),
            Undo::Fault(id) => {
                self.faults.remove(id);
                self.sandbox.remove_fault(*id);
            }
            Undo::Grant => self.sandbox.grant("default", self.app).expect("the key found"),
        }
    }

    /// Ends the faults, lets everything drain, and runs a last sync that brings Iden up to date.
    async fn rest(&mut self, fresh: bool) {
        self.sandbox.clear_faults();
        self.sandbox.set_cleanup(Cleanup::default());
        self.sandbox.grant("default", self.app).expect("the key found");
        self.target.behave(plan::peace(self.seed));
        if fresh {
            self.terminate().await;
        }
        self.start();
        let began = Instant::now();
        while self.pending() > 0 && began.elapsed() < REST {
            self.until(Instant::now() + Duration::from_millis(500)).await;
        }
        self.terminate().await;
        let mut summary = self.last_sync(sync::Options::default()).await;
        if summary.result != SyncResult::Completed
            && let Some(ends) = self.events.outage_ends()
        {
            // It failed because the state could not be written, or was held because of what an operator has to decide then.
            tokio::time::sleep_until(ends).await;
            summary = self.last_sync(sync::Options::default()).await;
        }
        // A late request of an earlier process to start a session cancels this one.
        for _ in 0..TRIES {
            if summary.reason == Some(RunReason::SessionLost) {
                summary = self.last_sync(sync::Options::default()).await;
            }
        }
        if summary.result != SyncResult::Completed && !self.was_ever_completed() {
            // A first sync that was killed repeatedly is held until an operator has looked.
            let options =
                sync::Options { allow_removals: Some(sync::Consent::Shown), ..sync::Options::default() };
            summary = self.last_sync(options).await;
        }
        if summary.result != SyncResult::Completed {
            self.complain("a last sync is clean", format!("it was {}: {}", summary.result, summary.detail));
        }
    }

    async fn last_sync(&mut self, options: sync::Options) -> sync::Summary {
        loop {
            let daemon = Daemon::start(self);
            let life = Arc::clone(&daemon.life);
            let summary = tokio::select! {
                biased;
                summary = daemon.sync(options) => Some(summary),
                () = life.ended() => None,
            };
            match summary {
                Some(summary) => {
                    daemon.terminate().await;
                    return summary;
                }
                None => daemon.kill().await,
            }
        }
    }

    fn was_ever_completed(&self) -> bool {
        self.sandbox.ledger().iter().any(|entry| {
            entry.method == "POST" && entry.path.contains("/complete/") && entry.handled == Some(202)
        })
    }

    fn pending(&self) -> usize {
        self.sandbox.tasks(self.app).iter().filter(|task| task["status"] == "pending").count()
    }

    fn judge(mut self) -> Verdict {
        self.look_for_secrets_in_the_state();
        self.look_for_secrets_at_iden();
        let panics = panics();
        if panics > 0 {
            self.complain("nothing panics", format!("{panics} panics"));
        }
        let ledger = self.target.ledger();
        let evidence = Evidence {
            sandbox: &self.sandbox,
            app: self.app,
            wishes: &self.wishes,
            ledger: &ledger,
            state_was_damaged: false,
            state_was_replaced: false,
        };
        let mut violations = rules::tasks(&evidence);
        let syncs = syncs::replay(&evidence);
        violations.extend(syncs.violations);
        violations.extend(syncs::equal(&evidence));
        if self.sandbox.ledger_dropped() > 0 {
            let what = "the sandbox's ledger was too small".into();
            violations.push(Violation { rule: "the evidence is complete", task: None, what });
        }
        violations.append(&mut self.violations);
        let stories = violations.iter().map(|violation| {
            let mut story = format!("{}: {}", violation.rule, violation.what);
            if let Some(task) = &violation.task {
                write!(story, "\n{}", evidence.story(task)).expect("a string takes everything");
            }
            story
        });
        let violations = stories.collect();
        let tasks = self.sandbox.tasks(self.app);
        let figures = TypeCounts {
            events: self.events.count(),
            tasks: self.wishes.len() as u64,
            completed: tasks.iter().filter(|task| task["status"] == "completed").count() as u64,
            syncs: syncs.completed as u64,
            removed: syncs.removed as u64,
            ..self.figures.clone()
        };
        Verdict { seed: self.seed, violations, trace: self.events.trace(), figures }
    }

    fn secrets(&self) -> Vec<String> {
        let passwords = self.wishes.iter().filter_map(|wish| wish.password.clone());
        passwords.chain([KEY.to_owned(), TOKEN.to_owned()]).collect()
    }

    fn look_for_secrets_in_the_state(&mut self) {
        let state = self.state.bytes();
        for secret in self.secrets() {
            if contains(&state, secret.as_bytes()) {
                self.complain("a secret never leaks", format!("{secret} is in the state folder"));
            }
        }
    }

    fn look_for_secrets_at_iden(&mut self) {
        let secrets = self.secrets();
        for entry in self.sandbox.ledger() {
            let body = entry.body.map(|body| body.to_string()).unwrap_or_default();
            if let Some(secret) = secrets.iter().find(|secret| body.contains(secret.as_str())) {
                self.complain(
                    "a secret never leaks",
                    format!("{secret} into {} {}", entry.method, entry.path),
                );
            }
        }
    }
}

pub(crate) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window[0] == wanted[0] && window == wanted)
}

/// Ends the effect of an event.
enum Undo {
    Start,
    Fault(FaultId),
    Grant,
}
