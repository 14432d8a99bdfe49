//! The nodes, and what is done to them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_test_servers::Link;
use tokio::time::{Instant, sleep};

use super::clock::Clock;
use super::owners::Disturbance;
use super::plan::{Fault, HELD};
use crate::nodes::send;
use crate::support::{Daemon, World};

/// The exit status of a process that may succeed if it is started again.
const TEMPORARY: i32 = 75;

/// Separates the logs of the processes of a node.
const NEXT: &str = "--- the next process\n";

/// A node of the run: its process, and its connections to the database and to Iden.
pub(super) struct Node {
    pub(super) name: &'static str,
    daemon: Option<Daemon>,
    pub(super) clock: Arc<Clock>,
    database: Link,
    bridge: Link,
    /// The logs of its processes that have ended.
    log: String,
    /// The processes that ended although nothing was done to them, or that did not end in order when they should.
    pub(super) unexpected: Vec<String>,
}

impl Node {
    pub(super) fn new(world: &World, name: &'static str, database: u16, bridge: u16) -> Self {
        let (to_database, to_bridge) = (Link::new(), Link::new());
        to_database.lead_to(database);
        to_bridge.lead_to(bridge);
        let clock = Arc::new(Clock::new(world, name));
        let (log, unexpected) = (String::new(), Vec::new());
        Self { name, daemon: None, clock, database: to_database, bridge: to_bridge, log, unexpected }
    }

    /// The ports under which it reaches the database and Iden.
    pub(super) fn ports(&self) -> (u16, u16) {
        (self.database.port, self.bridge.port)
    }

    pub(super) fn start(&mut self, world: &World) {
        self.daemon = Some(super::start(world, self.name, &self.clock));
    }

    /// Its process, unless that has ended by itself. One that found its folder in use, by a command that ran while it was down, is started
    /// again, as systemd does.
    pub(super) fn running(&mut self, world: &World) -> Option<&mut Daemon> {
        while let Some((status, log)) =
            self.daemon.as_mut().and_then(|one| Some((one.exit_status()?, one.log())))
        {
            self.keep_log();
            if status.code() != Some(TEMPORARY) || !log.contains("in use by another bridgehead") {
                self.unexpected.push(format!("node {} ended by itself: {status}", self.name));
                return None;
            }
            self.start(world);
        }
        self.daemon.as_mut()
    }

    /// Ends the current process, and keeps its log.
    fn keep_log(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            self.log += &daemon.kill();
            self.log.push_str(NEXT);
        }
    }

    /// Applies a fault, waits for its end, and undoes it. `None` if the process had ended by itself.
    pub(super) async fn disturb(
        &mut self,
        world: &World,
        fault: Fault,
        lasts: Duration,
    ) -> Option<Disturbance> {
        let Some(daemon) = self.running(world) else {
            self.start(world);
            return None;
        };
        match fault {
            // SIGTERM would kill a process that does not handle signals yet.
            Fault::Stop => daemon.signal("TERM").await,
            Fault::Suspend => send(daemon, "STOP"),
            Fault::Kill => self.keep_log(),
            Fault::HoldDatabase => self.database.hold(),
            Fault::CutDatabase => self.database.cut(),
            Fault::FillDatabase => {
                self.database.hold();
                self.database.fill();
            }
            Fault::HoldBridge => self.bridge.hold(),
            Fault::CutBridge => self.bridge.cut(),
        }
        let began = Instant::now();
        if fault == Fault::Stop {
            self.has_stopped().await;
        }
        let mut rest = lasts;
        if fault == Fault::FillDatabase {
            let held = Duration::from_millis(HELD);
            sleep(held).await;
            self.database.release();
            rest = lasts.saturating_sub(held);
        }
        sleep(rest).await;
        match fault {
            Fault::Kill | Fault::Stop => self.start(world),
            Fault::Suspend => send(self.daemon.as_ref().expect("it is suspended"), "CONT"),
            Fault::HoldDatabase => self.database.release(),
            Fault::CutDatabase | Fault::FillDatabase => self.database.mend(),
            Fault::HoldBridge => self.bridge.release(),
            Fault::CutBridge => self.bridge.mend(),
        }
        Some(Disturbance { node: self.name.to_owned(), fault, began, ended: Instant::now() })
    }

    /// Waits for the end of a process that was told to stop.
    async fn has_stopped(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let status = daemon.ended().await;
            if !status.success() {
                self.unexpected.push(format!("node {} was told to stop, and ended with {status}", self.name));
            }
        }
        self.keep_log();
    }

    /// Stops it at the end of the run.
    pub(super) async fn stop(&mut self, world: &World) {
        if let Some(daemon) = self.running(world) {
            daemon.signal("TERM").await;
            self.has_stopped().await;
            if !self.clock.is_that_of(self.log.trim_end_matches(NEXT)) {
                self.unexpected
                    .push(format!("node {} does not use the clock that the test steps", self.name));
            }
        }
    }

    /// The logs of all its processes.
    pub(super) fn log(&self) -> String {
        let mut log = self.log.clone();
        if let Some(daemon) = &self.daemon {
            // Writing to a string cannot fail.
            write!(log, "{}", daemon.log()).ok();
        }
        log
    }
}
