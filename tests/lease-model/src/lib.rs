//! A model of the lease protocol: two nodes, one row in a database, and messages and clocks that take any time.
//!
//! What a node may do is decided by the code that decides it in the daemon ([`Grant::may_start`]). The rest is the protocol as
//! `docs/decisions/0024-postgresql.md` describes it. The checker visits every order of events within the horizon.

use std::sync::LazyLock;
use std::time::Duration;

use bridgehead_store::lease::{Grant, Terms};
use tokio::time::Instant;

/// One tick is a second.
pub const TERMS: Terms = Terms { lease: Duration::from_secs(5), longest_call: Duration::from_secs(2) };
const LEASE: u8 = 5;
const CALL: u8 = 2;
/// When the time of the model ends.
pub const HORIZON: u8 = 8;
/// How often the app may change hands: giving it back and taking it takes no time.
const TAKEOVERS: u8 = 3;

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The row of one app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Row {
    epoch: u8,
    owner: Option<usize>,
    expires: u8,
    is_released: bool,
    settled: u8,
}

/// What a node was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    epoch: u8,
    asked: u8,
    settled: u8,
}

/// What is under way between a node and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// The node asks, at this time.
    Request(u8),
    /// The database has answered a request of this time.
    Answer(u8, Option<Claim>),
}

/// A node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Node {
    is_dead: bool,
    claim: Option<Claim>,
    message: Option<Message>,
    /// The epoch of an intent that was written, and whose call was not started.
    intent: Option<u8>,
    /// Since when a call of it is under way in the target. It outlives the node.
    call: Option<u8>,
}

/// Everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct World {
    now: u8,
    row: Row,
    nodes: [Node; 2],
}

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A second passes.
    Tick,
    /// A node asks for the lease, or for more of it.
    Ask(usize),
    /// The database serves the request.
    Serve(usize),
    /// The node hears the answer.
    Hear(usize),
    /// The node writes an intent, which the database accepts.
    Intend(usize),
    /// The node starts the call.
    Start(usize),
    /// The call ends in the target.
    End(usize),
    /// The node gives the lease back, with nothing under way.
    Release(usize),
    /// The node dies.
    Die(usize),
}

/// The protocol, or one with a fault, to show that the checker would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// As it is.
    None,
    /// A node counts its lease from the answer instead of the request.
    CountsFromAnswer,
    /// A new owner looks at once for what was under way.
    DoesNotSettle,
    /// Intents are not fenced by the epoch, and a call is started whatever the clock says.
    IsNotFenced,
}

impl Node {
    /// Whether it may start a call now.
    fn may_start(&self, now: u8) -> bool {
        let second = |at: u8| *BEGINNING + Duration::from_secs(u64::from(at));
        self.claim.is_some_and(|claim| {
            !self.is_dead && Grant { asked_at: second(claim.asked) }.may_start(second(now), &TERMS)
        })
    }
}

impl World {
    /// What can happen now.
    pub fn events(&self, fault: Fault) -> Vec<Event> {
        let mut events = Vec::new();
        // A call ends by its deadline.
        let is_late = |node: &Node| node.call.is_some_and(|since| self.now >= since + CALL);
        if !self.nodes.iter().any(is_late) {
            events.push(Event::Tick);
        }
        for (number, node) in self.nodes.iter().enumerate() {
            if node.call.is_some() {
                events.push(Event::End(number));
            }
            if node.is_dead {
                continue;
            }
            events.push(Event::Die(number));
            events.push(match node.message {
                None => Event::Ask(number),
                Some(Message::Request(_)) => Event::Serve(number),
                Some(Message::Answer(..)) => Event::Hear(number),
            });
            let Some(claim) = node.claim else { continue };
            let is_free = node.intent.is_none() && node.call.is_none();
            let is_newest = self.row.owner == Some(number) && self.row.epoch == claim.epoch;
            if is_free && (is_newest || fault == Fault::IsNotFenced) {
                events.push(Event::Intend(number));
            }
            if node.intent == Some(claim.epoch) && (node.may_start(self.now) || fault == Fault::IsNotFenced) {
                events.push(Event::Start(number));
            }
            if is_free && node.message.is_none() {
                events.push(Event::Release(number));
            }
        }
        events
    }

    /// The world after an event.
    #[must_use]
    pub fn after(mut self, event: Event, fault: Fault) -> Self {
        let now = self.now;
        match event {
            Event::Tick => self.now += 1,
            Event::Ask(number) => self.nodes[number].message = Some(Message::Request(now)),
            Event::Serve(number) => {
                if let Some(Message::Request(asked)) = self.nodes[number].message {
                    let answer = self.serve(number, asked);
                    self.nodes[number].message = Some(Message::Answer(asked, answer));
                }
            }
            Event::Hear(number) => {
                if let Some(Message::Answer(_, answer)) = self.nodes[number].message {
                    let late = |claim: Claim| Claim { asked: now, ..claim };
                    let claim = if fault == Fault::CountsFromAnswer { answer.map(late) } else { answer };
                    self.nodes[number].claim = claim;
                    self.nodes[number].message = None;
                }
            }
            Event::Intend(number) => {
                self.nodes[number].intent = self.nodes[number].claim.map(|claim| claim.epoch);
            }
            Event::Start(number) => {
                self.nodes[number].intent = None;
                self.nodes[number].call = Some(now);
            }
            Event::End(number) => self.nodes[number].call = None,
            Event::Release(number) => {
                let claim = self.nodes[number].claim.take();
                if self.row.owner == Some(number) && claim.is_some_and(|claim| claim.epoch == self.row.epoch)
                {
                    self.row.is_released = true;
                }
            }
            Event::Die(number) => {
                let call = self.nodes[number].call;
                self.nodes[number] = Node { is_dead: true, call, ..Node::default() };
            }
        }
        self
    }

    /// Renews the lease of who has it, or gives it to who asks if nobody does.
    fn serve(&mut self, number: usize, asked: u8) -> Option<Claim> {
        let row = &mut self.row;
        let claim = self.nodes[number].claim;
        match claim {
            Some(claim) => {
                let goes_on = row.owner == Some(number) && row.epoch == claim.epoch && !row.is_released;
                if !goes_on {
                    return None;
                }
                row.expires = self.now + LEASE;
                Some(Claim { asked, ..claim })
            }
            None if row.owner.is_none() || row.is_released || row.expires <= self.now => {
                if row.owner.is_some() && !row.is_released {
                    row.settled = row.settled.max(row.expires + CALL);
                }
                *row = Row {
                    epoch: row.epoch + 1,
                    owner: Some(number),
                    expires: self.now + LEASE,
                    is_released: false,
                    settled: row.settled,
                };
                Some(Claim { epoch: row.epoch, asked, settled: row.settled })
            }
            None => None,
        }
    }

    /// Whether a node may look for what an earlier owner had under way: it owns the app, and that has settled.
    pub fn looks(&self, number: usize, fault: Fault) -> bool {
        let node = &self.nodes[number];
        node.claim.is_some_and(|claim| {
            self.row.owner == Some(number)
                && self.row.epoch == claim.epoch
                && (self.now >= claim.settled || fault == Fault::DoesNotSettle)
        })
    }

    /// No node looks for what another one may still be doing.
    pub fn nobody_looks_too_early(&self, fault: Fault) -> bool {
        (0..self.nodes.len()).all(|one| {
            let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != one);
            !self.looks(one, fault) || others.into_iter().all(|(_, other)| other.call.is_none())
        })
    }

    /// At most one node may start calls.
    pub fn one_may_start(&self) -> bool {
        self.nodes.iter().filter(|node| node.may_start(self.now)).count() <= 1
    }

    /// A node took over from one that died in the middle of a call, and may go on with it.
    pub fn has_taken_over(&self) -> bool {
        self.row.epoch >= 2 && self.nodes.iter().any(|node| node.is_dead) && self.looks(0, Fault::None)
    }

    /// Whether the time of the model has ended.
    pub fn is_within_horizon(&self) -> bool {
        self.now <= HORIZON && self.row.epoch <= TAKEOVERS
    }
}
