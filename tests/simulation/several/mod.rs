//! A run with several nodes, which share a database in memory.
//!
//! Simulated in addition to what one node has: the database, with leases and epochs, the network to it, and nodes that are killed, stopped,
//! suspended, or cut off from the database or from the Bridge.

pub(crate) mod cut;
mod judge;
pub(crate) mod leases;
mod process;
mod rest;
pub(crate) mod schedule;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bridgehead::config;
use bridgehead::journal::AppKey;
use bridgehead::journal::shared::{Checks, Database, Identity};
use bridgehead::sandbox::{Cleanup, FaultId, Options, Sandbox};
use tokio::time::Instant;
use uuid::Uuid;

use crate::bridge::Delays;
use crate::daemon;
use crate::evidence::Violation;
use crate::evidence::people::{self, Size, Wish};
use crate::life::{Events, Life};
use crate::target::Target;
use crate::world::{BEGINNING, Dice, KEY, TypeCounts, Verdict, count_panics};
use cut::Cut;
use process::{Machine, Process, Stopping};
use schedule::{Event, Schedule};

/// How often the world looks whether a process has ended.
const TICK: Duration = Duration::from_millis(20);
/// A process that has crashed is restarted after this time.
const RESTART: Duration = Duration::from_millis(200);
/// How long a process may take to stop.
const STOPS_WITHIN: Duration = Duration::from_mins(2);

/// Everything that outlives a process.
struct Shared {
    seed: u64,
    sandbox: Arc<Sandbox>,
    database: Database,
    database_delay: u64,
    events: Arc<Events>,
    dice: Dice,
    delays: Delays,
}

/// An app with its target.
struct App {
    id: Uuid,
    key: AppKey,
    name: String,
    target: Arc<Target>,
    settings: config::App,
    wishes: Vec<Wish>,
}

/// A machine on which one process runs at a time.
struct Node {
    number: usize,
    state: State,
    starts: u32,
    /// The processes that the next one knows to have ended.
    ended: Vec<String>,
    keeps_folder: bool,
    ahead: i64,
    database: Arc<Cut>,
    bridge: Arc<Cut>,
}

enum State {
    /// It starts at this time.
    Down(Instant),
    Up(Box<Process>),
    /// It was asked to stop at this time, and restarts after the pause.
    Stopping(Stopping, Instant, Duration),
}

/// Ends the effect of an event.
enum Undo {
    Resume(Arc<Life>),
    Heal(Arc<Cut>),
    Fault(FaultId),
    Grant(Uuid),
}

struct World {
    shared: Shared,
    apps: Vec<App>,
    nodes: Vec<Node>,
    later: Vec<(Instant, Undo)>,
    faults: BTreeSet<FaultId>,
    violations: Vec<Violation>,
    figures: TypeCounts,
}

/// Runs a seed with 2 to 5 nodes, or with this many.
pub(crate) fn simulate(seed: u64, nodes: Option<usize>) -> Verdict {
    run(seed, nodes, Checks::default(), Delays::new(seed, false))
}

/// The same, but most requests to complete a sync outlive their process.
pub(crate) fn simulate_late(seed: u64, nodes: Option<usize>) -> Verdict {
    run(seed, nodes, Checks::default(), Delays::new(seed, true))
}

/// The same with only some of the checks that leases consist of.
pub(crate) fn simulate_checking(seed: u64, nodes: Option<usize>, checks: Checks) -> Verdict {
    run(seed, nodes, checks, Delays::new(seed, false))
}

fn run(seed: u64, nodes: Option<usize>, checks: Checks, delays: Delays) -> Verdict {
    count_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread");
    runtime.block_on(async {
        let mut schedule = Schedule::new(seed, nodes);
        let mut world = World::new(seed, &mut schedule, checks, delays);
        world.happen(schedule).await;
        world.judge()
    })
}

impl World {
    fn new(seed: u64, schedule: &mut Schedule, checks: Checks, delays: Delays) -> Self {
        let beginning = BEGINNING.parse().expect("a time");
        let options = Options { api_key: KEY.into(), started_at: Some(beginning), ..Options::default() };
        let sandbox = Arc::new(Sandbox::in_process(options).expect("a sandbox"));
        let app = |number: usize| {
            let id = Uuid::from_u128(0x1111_1111_1111_4111_8111_1111_1111_1111 + number as u128);
            let name = format!("app-{number}");
            sandbox.add_app(id, &name);
            let target = Arc::new(Target::new(Arc::clone(&sandbox), people::settled(Size::SMALL)));
            let settings = daemon::settings(&id.to_string());
            App { id, key: AppKey::from(id), name, target, settings, wishes: Vec::new() }
        };
        let apps = (0..schedule.apps).map(app).collect();
        let node = |(number, keeps_folder)| Node {
            number,
            state: State::Down(Instant::now()),
            starts: 0,
            ended: Vec::new(),
            keeps_folder,
            ahead: 0,
            database: Arc::default(),
            bridge: Arc::default(),
        };
        let shared = Shared {
            seed,
            database: Database::checking(beginning, checks),
            database_delay: schedule.database_delay,
            events: Arc::new(Events::new(std::mem::take(&mut schedule.crashes))),
            dice: Dice::new(seed),
            delays,
            sandbox,
        };
        Self {
            shared,
            apps,
            nodes: schedule.keep_folder.iter().copied().enumerate().map(node).collect(),
            later: Vec::new(),
            faults: BTreeSet::new(),
            violations: Vec::new(),
            figures: TypeCounts::default(),
        }
    }

    fn complain(&mut self, rule: &'static str, what: String) {
        self.violations.push(Violation { rule, task: None, what });
    }

    /// Runs all events of the schedule, lets everything settle, and runs a last sync of each app.
    async fn happen(&mut self, schedule: Schedule) {
        let began = Instant::now();
        for (at, event) in schedule.events {
            self.until(began + at).await;
            self.event(event).await;
        }
        self.until(began + schedule.length).await;
        for (_, undo) in std::mem::take(&mut self.later) {
            self.undo(undo);
        }
        self.rest(schedule.fresh_end).await;
        self.figures.simulated_seconds = began.elapsed().as_secs();
    }

    /// Lets time pass. Processes that have ended are restarted, and faults end in time.
    async fn until(&mut self, moment: Instant) {
        loop {
            let now = Instant::now();
            for (_, undo) in self.later.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
                self.undo(undo);
            }
            for number in 0..self.nodes.len() {
                self.look_after(number).await;
            }
            if now >= moment {
                return;
            }
            tokio::time::sleep_until(moment.min(now + TICK)).await;
        }
    }

    /// Restarts the process of a node if it has ended.
    async fn look_after(&mut self, number: usize) {
        let now = Instant::now();
        match &self.nodes[number].state {
            State::Down(at) if *at <= now => self.start(number),
            State::Up(process) if process.life.is_over() => self.kill(number, RESTART).await,
            State::Up(process) if process.has_ended() => {
                self.complain(
                    "the daemon continues",
                    format!("{} ended by itself", process.identity.process),
                );
                self.kill(number, RESTART).await;
            }
            State::Stopping(stopping, began, _) => {
                let is_late = began.elapsed() > STOPS_WITHIN && !stopping.life.is_suspended();
                let is_over = stopping.life.is_over() || stopping.has_ended();
                if is_late && !is_over {
                    self.complain("a stop ends in order", format!("node {number} takes too long"));
                }
                if is_late || is_over {
                    self.stopped(number).await;
                }
            }
            State::Down(_) | State::Up(_) => {}
        }
    }

    fn start(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        node.starts += 1;
        let name = format!("n{}", node.number);
        let process = format!("{name}.{}", node.starts);
        let identity = Identity { name, process: process.clone(), ended: node.ended.clone() };
        let machine = Machine { identity, database: &node.database, bridge: &node.bridge, ahead: node.ahead };
        node.state = State::Up(Box::new(Process::start(&self.shared, &self.apps, machine)));
        if node.keeps_folder {
            node.ended.push(process);
        }
    }

    fn down(&mut self, number: usize, pause: Duration) -> State {
        std::mem::replace(&mut self.nodes[number].state, State::Down(Instant::now() + pause))
    }

    async fn kill(&mut self, number: usize, pause: Duration) {
        match self.down(number, pause) {
            State::Up(process) => process.kill().await,
            State::Stopping(stopping, ..) => stopping.end().await,
            State::Down(_) => return,
        }
        self.figures.deaths += 1;
    }

    async fn stopped(&mut self, number: usize) {
        let State::Stopping(_, _, pause) = &self.nodes[number].state else { return };
        let pause = *pause;
        if let State::Stopping(stopping, ..) = self.down(number, pause) {
            stopping.end().await;
        }
    }

    fn terminate(&mut self, number: usize, pause: Duration) {
        match self.down(number, pause) {
            State::Up(process) => {
                let stopping = process.terminate();
                self.nodes[number].state = State::Stopping(stopping, Instant::now(), pause);
            }
            other => self.nodes[number].state = other,
        }
    }

    fn undo_after(&mut self, after: Duration, undo: Undo) {
        self.later.push((Instant::now() + after, undo));
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Tasks(app, wishes) => {
                let app = &mut self.apps[app];
                for wish in wishes {
                    self.shared.sandbox.add_task(app.id, wish.task());
                    app.wishes.push(wish);
                }
            }
            Event::Kill(node, pause) => self.kill(node, pause).await,
            Event::Terminate(node, pause) => self.terminate(node, pause),
            Event::Suspend(node, lasts) => {
                let life = match &self.nodes[node].state {
                    State::Up(process) => Arc::clone(&process.life),
                    State::Stopping(stopping, ..) => Arc::clone(&stopping.life),
                    State::Down(_) => return,
                };
                if !life.is_suspended() {
                    life.suspend();
                    self.undo_after(lasts, Undo::Resume(life));
                }
            }
            Event::CutDatabase(node, lasts) => self.cut(Arc::clone(&self.nodes[node].database), lasts),
            Event::CutBridge(node, lasts) => self.cut(Arc::clone(&self.nodes[node].bridge), lasts),
            Event::KillConnector(node, app) => {
                if let State::Up(process) = &self.nodes[node].state {
                    process.connectors[&self.apps[app].name].die();
                }
            }
            Event::Fault(fault, lasts) => {
                let id = self.shared.sandbox.add_fault(*fault);
                self.faults.insert(id);
                self.undo_after(lasts, Undo::Fault(id));
            }
            Event::Deny(app, lasts) => {
                let app = self.apps[app].id;
                self.shared.sandbox.deny("default", app).expect("the key found");
                self.undo_after(lasts, Undo::Grant(app));
            }
            Event::FailCleanup(times) => self.shared.sandbox.set_cleanup(Cleanup::default().failing(times)),
            Event::Target(app, behaviour) => self.apps[app].target.behave(behaviour),
            Event::Clock(node, ahead) => {
                self.nodes[node].ahead = ahead;
                self.terminate(node, Duration::ZERO);
            }
        }
    }

    fn cut(&mut self, cut: Arc<Cut>, lasts: Duration) {
        cut.begin();
        self.undo_after(lasts, Undo::Heal(cut));
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Resume(life) => life.resume(),
            Undo::Heal(cut) => cut.end(),
            Undo::Fault(id) => {
                self.faults.remove(&id);
                self.shared.sandbox.remove_fault(id);
            }
            Undo::Grant(app) => self.shared.sandbox.grant("default", app).expect("the key found"),
        }
    }
}
