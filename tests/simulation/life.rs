//! The lifetime of one process: its events are counted, and it can be ended at any of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The event at which a process is ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    /// The number of the event, counted over all processes.
    pub(crate) at: u64,
    pub(crate) side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// A time in which the state cannot be written: the disk is full, or the database is away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    /// The number of the first write that fails, counted like that of a crash.
    pub(crate) at: u64,
    pub(crate) lasts: Duration,
    /// Whether the first write takes effect, and only its response is lost.
    pub(crate) is_first_applied: bool,
}

/// What happens to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Succeeds,
    Fails,
    LosesItsResponse,
}

/// The events of all processes, in order.
#[derive(Debug, Default)]
pub(crate) struct Events {
    count: AtomicU64,
    crashes: Vec<Crash>,
    outage: Option<Outage>,
    /// When the outage began.
    outage_began: OnceLock<Instant>,
    trace: Mutex<Vec<String>>,
}

impl Events {
    pub(crate) fn new(crashes: impl IntoIterator<Item = Crash>) -> Self {
        Self { crashes: crashes.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn with_outage(outage: Outage) -> Self {
        Self { outage: Some(outage), ..Self::default() }
    }

    /// What happens to the write with this number.
    pub(crate) fn writing(&self, number: u64) -> Writing {
        let Some(Outage { at, lasts, is_first_applied }) = self.outage else { return Writing::Succeeds };
        if number == at && is_first_applied {
            self.outage_began.get_or_init(Instant::now);
            return Writing::LosesItsResponse;
        }
        let is_out = number >= at && self.outage_began.get_or_init(Instant::now).elapsed() < lasts;
        if is_out { Writing::Fails } else { Writing::Succeeds }
    }

    /// When the outage ends, if it has begun.
    pub(crate) fn outage_ends(&self) -> Option<Instant> {
        Some(*self.outage_began.get()? + self.outage?.lasts)
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Records an event, to compare two runs.
    pub(crate) fn note(&self, what: String) {
        self.trace.lock().unwrap().push(what);
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        std::mem::take(&mut self.trace.lock().unwrap())
    }
}

/// One process.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) events: Arc<Events>,
    /// Its name; empty if there is only one process at a time.
    name: String,
    dead: AtomicBool,
    died: Notify,
    suspended: AtomicBool,
    resumed: Notify,
}

impl Life {
    pub(crate) fn new(events: Arc<Events>) -> Arc<Self> {
        Self::named(events, String::new())
    }

    /// A process whose events are recorded with its name.
    pub(crate) fn named(events: Arc<Events>, name: String) -> Arc<Self> {
        Arc::new(Self {
            events,
            name,
            dead: AtomicBool::new(false),
            died: Notify::new(),
            suspended: AtomicBool::new(false),
            resumed: Notify::new(),
        })
    }

    /// SIGSTOP: its calls wait, and so do the answers to those that have left.
    pub(crate) fn suspend(&self) {
        self.suspended.store(true, Ordering::Relaxed);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.suspended.store(false, Ordering::Relaxed);
        self.resumed.notify_waiters();
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// SIGKILL: nothing that the process does afterwards has an effect.
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_waiters();
    }

    /// Returns once the process has ended.
    pub(crate) async fn ended(&self) {
        loop {
            let died = self.died.notified();
            if self.is_over() {
                return;
            }
            died.await;
        }
    }

    /// Called before an event takes effect. Never returns in a process that has ended.
    pub(crate) async fn before(&self, what: &str) -> u64 {
        self.alive().await;
        let number = self.events.count.fetch_add(1, Ordering::Relaxed);
        let Self { name, .. } = self;
        self.events.note(if name.is_empty() {
            format!("{number} {what}")
        } else {
            format!("{number} {name} {what}")
        });
        self.crash(number, Side::Before).await;
        number
    }

    /// Called after an event has taken effect, before the caller gets its result.
    pub(crate) async fn after(&self, number: u64) {
        self.alive().await;
        self.crash(number, Side::After).await;
    }

    /// Returns while the process runs. Never returns in a process that has ended, nor in one that ends before it is resumed.
    pub(crate) async fn alive(&self) {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
        loop {
            let resumed = self.resumed.notified();
            if !self.is_suspended() {
                return;
            }
            resumed.await;
        }
    }

    async fn crash(&self, number: u64, side: Side) {
        if self.events.crashes.iter().any(|crash| crash.at == number && crash.side == side) {
            self.end();
            self.alive().await;
        }
    }
}
