//! The plan of a run: every task, every fault and their times. It follows from the seed alone.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::stories::{Call, Stories, Wish};

/// A node by its number, or whichever runs an app when the step begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Node(usize),
    OwnerOf(usize),
}

/// What is done to a node for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL, and a start.
    Kill,
    /// SIGTERM, and a start.
    Stop,
    /// SIGSTOP, and SIGCONT.
    Suspend,
    /// No data passes to the database and back, but connections stay open.
    HoldDatabase,
    /// Connections to the database are closed, and so are new ones.
    CutDatabase,
    /// No data passes to the database and back for longer than a lease; then the open connections work again, and new ones are refused, as
    /// by a server with too many. So a node whose lease has expired can write, but not renew its lease.
    FillDatabase,
    HoldBridge,
    CutBridge,
}

impl Fault {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Suspend => "suspension",
            Self::HoldDatabase => "database held",
            Self::CutDatabase => "database cut",
            Self::FillDatabase => "database full",
            Self::HoldBridge => "bridge held",
            Self::CutBridge => "bridge cut",
        }
    }

    /// Whether the node may lose its apps.
    pub(super) fn takes_apps(self) -> bool {
        !matches!(self, Self::HoldBridge | Self::CutBridge)
    }
}

/// A step of the plan. Durations are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Iden creates tasks.
    Tasks(Vec<Wish>),
    Disturb {
        who: Who,
        fault: Fault,
        lasts: u64,
    },
    /// The database server ends and starts again: in order, or with a crash.
    Restart {
        crashes: bool,
        lasts: u64,
    },
    /// Waits until no fault lasts any more, and each app has an owner. The steps after it keep their distance.
    Calm,
    /// From now on, the clock of a node is this many seconds ahead of the right time.
    Clock {
        node: usize,
        shift: i64,
    },
    /// Somebody requests a sync of an app on a node.
    Sync {
        app: usize,
        node: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Milliseconds since the start of the run.
    pub(super) at: u64,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) steps: Vec<Step>,
}

/// The numbers of nodes and apps.
pub(super) const NODES: usize = 3;
pub(super) const APPS: usize = 3;

impl Plan {
    /// Faults and tasks begin within `length`, in milliseconds. The last faults end after it.
    pub(super) fn new(seed: u64, length: u64) -> Self {
        let mut making = Making {
            random: StdRng::seed_from_u64(seed),
            length,
            stories: Stories::new(),
            steps: Vec::new(),
        };
        let first = making.random.random_range(500..1000);
        let calm = first + 4000;
        making.every(0, 400..800, |making, at| {
            let app = making.random.random_range(0..APPS);
            let story = making.stories.tell(&mut making.random, app);
            // The tasks of an account come together, or one after the other.
            let apart = *[0, 0, 400, 1200].choose(&mut making.random).expect("a time");
            for (number, wish) in (0..).zip(story) {
                making.step(at + number * apart, What::Tasks(vec![wish]));
            }
        });
        making.every(calm, 800..1600, |making, at| {
            let what = making.disturbance();
            making.step(at, what);
        });
        // One of each kind early on, and more later. Nothing else disturbs the nodes before the first one's app was taken over.
        making.ambush_calls(first);
        making.ambush_intents(calm + 500);
        making.every(calm, 5000..9000, |making, at| {
            if making.random.random_bool(0.5) {
                making.ambush_calls(at);
            } else {
                making.ambush_intents(at);
            }
        });
        making.every(calm, 1500..6000, |making, at| {
            let (crashes, lasts) = (making.random.random_bool(0.5), making.random.random_range(100..1500));
            making.step(at, What::Restart { crashes, lasts });
        });
        making.every(0, 2000..4000, |making, at| {
            let (app, node) = (making.random.random_range(0..APPS), making.random.random_range(0..NODES));
            making.step(at, What::Sync { app, node });
        });
        making.every(calm, 1500..4000, |making, at| {
            let (node, shift) = (making.random.random_range(0..NODES), making.shift());
            making.step(at, What::Clock { node, shift });
        });
        // Once more, without anything that disturbs the node that takes the app over, or the one that loses it.
        making.step(length + 3000, What::Calm);
        making.ambush_calls(length + 3000);
        making.step(length + 14_000, What::Calm);
        making.ambush_renewals(length + 14_000);
        // Stable, so the tasks of an account keep their order.
        making.steps.sort_by_key(|step| step.at);
        Self { seed, steps: making.steps }
    }

    /// All tasks, in the order of their creation.
    pub(super) fn wishes(&self) -> Vec<&Wish> {
        let tasks = self.steps.iter().filter_map(|step| match &step.what {
            What::Tasks(wishes) => Some(wishes),
            _ => None,
        });
        tasks.flatten().collect()
    }

    /// The number of steps of clocks.
    pub(super) fn clock_steps(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.what, What::Clock { .. })).count()
    }

    /// The number of restarts of the database, those in order or those with a crash.
    pub(super) fn restarts(&self, of_crashes: bool) -> usize {
        let is_one =
            |step: &&Step| matches!(step.what, What::Restart { crashes, .. } if crashes == of_crashes);
        self.steps.iter().filter(is_one).count()
    }
}

/// A plan that is being made.
struct Making {
    random: StdRng,
    length: u64,
    stories: Stories,
    steps: Vec<Step>,
}

impl Making {
    fn step(&mut self, at: u64, what: What) {
        self.steps.push(Step { at, what });
    }

    /// Repeats something in random intervals.
    fn every(&mut self, from: u64, pause: std::ops::Range<u64>, mut make: impl FnMut(&mut Self, u64)) {
        let mut at = from + self.random.random_range(300..pause.end);
        while at < self.length {
            make(self, at);
            at += self.random.random_range(pause.clone());
        }
    }

    fn disturbance(&mut self) -> What {
        use Fault::{CutBridge, CutDatabase, FillDatabase, HoldBridge, HoldDatabase, Kill, Stop, Suspend};
        let random = &mut self.random;
        let faults = [
            Kill,
            Kill,
            Kill,
            Stop,
            Suspend,
            Suspend,
            HoldDatabase,
            HoldDatabase,
            CutDatabase,
            CutDatabase,
            HoldBridge,
            CutBridge,
        ];
        let fault = *faults.choose(random).expect("a fault");
        let lasts = match fault {
            Kill => random.random_range(100..4000),
            Stop => random.random_range(0..2000),
            Suspend | HoldDatabase | CutDatabase | FillDatabase => random.random_range(500..6000),
            HoldBridge | CutBridge => random.random_range(300..2500),
        };
        let who = if random.random_bool(0.6) {
            Who::OwnerOf(random.random_range(0..APPS))
        } else {
            Who::Node(random.random_range(0..NODES))
        };
        What::Disturb { who, fault, lasts }
    }

    /// How far a clock is ahead or, if negative, behind: minutes, hours, or more days than the journal keeps ended tasks.
    fn shift(&mut self) -> i64 {
        let (minute, hour) = (60, 3600);
        let ahead = match self.random.random_range(0..10) {
            0..4 => self.random.random_range(10..60) * minute,
            4..9 => self.random.random_range(1..48) * hour,
            _ => return 40 * 24 * hour,
        };
        if self.random.random_bool(0.5) { ahead } else { -ahead }
    }

    /// Takes an app from its node in the middle of calls that are applied after all deadlines: the node's connector works on.
    fn ambush_calls(&mut self, at: u64) {
        let app = self.random.random_range(0..APPS);
        let wishes = (0..3).map(|_| self.stories.change(&mut self.random, app, Call::Late)).collect();
        self.step(at, What::Tasks(wishes));
        let faults = [Fault::Suspend, Fault::Suspend, Fault::HoldDatabase];
        let fault = *faults.choose(&mut self.random).expect("a fault");
        let (after, lasts) = (self.random.random_range(350..650), self.random.random_range(9300..10000));
        self.step(at + after, What::Disturb { who: Who::OwnerOf(app), fault, lasts });
    }

    /// Takes an app from its node just before calls: the node knows the tasks, but cannot record that it starts them. When it can, another
    /// node is in the middle of them.
    fn ambush_intents(&mut self, at: u64) {
        let app = self.random.random_range(0..APPS);
        let lasts = self.random.random_range(3000..5000);
        self.step(at, What::Disturb { who: Who::OwnerOf(app), fault: Fault::HoldDatabase, lasts });
        for _ in 0..6 {
            let call = Call::Slow(self.random.random_range(3000..4500));
            let wish = self.stories.change(&mut self.random, app, call);
            let after = self.random.random_range(100..1800);
            self.step(at + after, What::Tasks(vec![wish]));
        }
    }

    /// Takes an app from its node, which then reaches the database again and does not learn that it has lost the app.
    fn ambush_renewals(&mut self, at: u64) {
        let app = self.random.random_range(0..APPS);
        let lasts = HELD + 4000;
        self.step(at, What::Disturb { who: Who::OwnerOf(app), fault: Fault::FillDatabase, lasts });
        for number in 0..8 {
            let call = Call::Slow(self.random.random_range(1500..3000));
            let wish = self.stories.change(&mut self.random, app, call);
            self.step(at + HELD + 200 + number * 300, What::Tasks(vec![wish]));
        }
    }
}

/// For how long no data passes at first when the database is full for a node, in milliseconds: longer than a lease.
pub(super) const HELD: u64 = 3500;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the plan of seed {}:", self.seed)?;
        for Step { at, what } in &self.steps {
            write!(f, "{at:>7} ms  ")?;
            match what {
                What::Tasks(wishes) => {
                    for wish in wishes {
                        write!(f, "{wish}; ")?;
                    }
                    writeln!(f)?;
                }
                What::Disturb { who, fault, lasts } => {
                    writeln!(f, "{who:?}: {} for {lasts} ms", fault.name())?;
                }
                What::Restart { crashes, lasts } => {
                    let how = if *crashes { "crashes" } else { "stops" };
                    writeln!(f, "the database {how}, and starts {lasts} ms later")?;
                }
                What::Calm => writeln!(f, "wait until nothing is disturbed")?,
                What::Clock { node, shift } => writeln!(f, "the clock of node {node} is {shift} s ahead")?,
                What::Sync { app, node } => writeln!(f, "sync of app {app}, requested on node {node}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn equal_seeds_give_equal_plans_and_different_seeds_different_ones() {
        for seed in 0..50 {
            assert_eq!(Plan::new(seed, 12_000), Plan::new(seed, 12_000));
            assert_eq!(Plan::new(seed, 12_000).to_string(), Plan::new(seed, 12_000).to_string());
            assert_ne!(Plan::new(seed, 12_000).steps, Plan::new(seed + 1, 12_000).steps);
        }
    }

    #[test]
    fn plans_have_every_action_every_fault_and_every_app() {
        let plans: Vec<Plan> = (0..50).map(|seed| Plan::new(seed, 12_000)).collect();
        let wishes: Vec<&Wish> = plans.iter().flat_map(Plan::wishes).collect();
        let actions: BTreeSet<&str> = wishes.iter().map(|wish| wish.action).collect();
        assert_eq!(actions.len(), crate::target::ACTIONS.len());
        assert_eq!(wishes.iter().map(|wish| wish.app).collect::<BTreeSet<_>>().len(), APPS);
        let steps = plans.iter().flat_map(|plan| &plan.steps);
        let faults: BTreeSet<Fault> = steps
            .filter_map(|step| if let What::Disturb { fault, .. } = step.what { Some(fault) } else { None })
            .collect();
        assert_eq!(faults.len(), 8);
        let shifts: Vec<i64> = plans
            .iter()
            .flat_map(|plan| &plan.steps)
            .filter_map(|step| if let What::Clock { shift, .. } = step.what { Some(shift) } else { None })
            .collect();
        assert!(shifts.iter().any(|shift| *shift > 0) && shifts.iter().any(|shift| *shift < 0));
        assert!(shifts.iter().all(|shift| shift.abs() >= 600), "less would not be seen in a log");
        assert!(plans.iter().any(|plan| plan.restarts(true) > 0));
        assert!(plans.iter().any(|plan| plan.restarts(false) > 0));
    }
}
