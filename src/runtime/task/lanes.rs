//! Which task may run now: one lane per account.
//!
//! A task names its account by identifier, user name, e-mail or several of them. Two tasks that share any one of these,
//! or that a third one joins ([`Aliases`]), are of the same account, and run one after the other in the order in which
//! Iden created them. A task is ready when it is the oldest waiting one in each of its lanes and none of them is taken by
//! a task that runs. Mostly it is in one; lanes are not merged when a later task turns out to join two accounts, but
//! that one and those behind it are in both.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bridgehead_sdk::TaskId;
use jiff::Timestamp;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::aliases::Aliases;

/// The hash of one name of an account. What must wait is kept as hashes: they are small, and hold no payload. A
/// collision only makes two accounts share a lane.
pub(crate) type Key = u64;

/// When a task was created; those without a time come last, in the order of their arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    created: i128,
    arrival: u64,
}

/// All tasks of one app that are waiting or running.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    arrivals: u64,
    waiting: HashMap<TaskId, Vec<Key>>,
    by_order: BTreeMap<Order, TaskId>,
    queues: HashMap<Key, BTreeSet<Order>>,
    ready: BTreeSet<Order>,
    running: HashMap<TaskId, Vec<Key>>,
    taken: HashSet<Key>,
    aliases: Aliases,
}

impl Lanes {
    /// Tasks with these keys are about to be taken in, and say which names belong together.
    pub(crate) fn learn<'a>(&mut self, tasks: impl IntoIterator<Item = &'a [Key]>) {
        for keys in tasks {
            self.aliases.learn(keys);
        }
    }

    /// All that were to be taken in have been.
    pub(crate) fn learnt(&mut self) {
        self.aliases.forget_the_absent();
    }

    /// Takes a task in. False if it is known already.
    pub(crate) fn insert(&mut self, id: TaskId, created_at: Option<Timestamp>, keys: &[Key]) -> bool {
        if self.contains(&id) {
            return false;
        }
        let keys = self.aliases.enter(keys);
        self.arrivals += 1;
        let created = created_at.map_or(i128::MAX, Timestamp::as_nanosecond);
        let order = Order { created, arrival: self.arrivals };
        for key in &keys {
            let queue = self.queues.entry(*key).or_default();
            // An older task that arrives late goes before one that was ready and has not begun.
            if let Some(head) = queue.first().filter(|head| order < **head) {
                self.ready.remove(head);
            }
            queue.insert(order);
        }
        self.by_order.insert(order, id.clone());
        self.waiting.insert(id, keys);
        self.refresh(order);
        true
    }

    /// The oldest task that may run, which from now on counts as running.
    pub(crate) fn start_next(&mut self) -> Option<TaskId> {
        let order = self.ready.pop_first()?;
        let id = self.by_order.remove(&order)?;
        let keys = self.waiting.remove(&id)?;
        for key in &keys {
            self.leave(*key, order);
            self.taken.insert(*key);
        }
        self.running.insert(id.clone(), keys);
        Some(id)
    }

    /// A running task has ended; the next one of its account may follow.
    pub(crate) fn finish(&mut self, id: &TaskId) {
        let Some(keys) = self.running.remove(id) else {
            return;
        };
        for key in &keys {
            self.taken.remove(key);
        }
        self.aliases.leave(&keys);
        let heads: BTreeSet<Order> =
            keys.iter().filter_map(|key| self.queues.get(key)?.first().copied()).collect();
        for head in heads {
            self.refresh(head);
        }
    }

    /// Whether the task waits or runs.
    pub(crate) fn contains(&self, id: &TaskId) -> bool {
        self.waiting.contains_key(id) || self.running.contains_key(id)
    }

    /// How many tasks wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether any waiting task may run now.
    #[cfg(test)]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn leave(&mut self, key: Key, order: Order) {
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.remove(&order);
            if queue.is_empty() {
                self.queues.remove(&key);
            }
        }
    }

    fn refresh(&mut self, order: Order) {
        let Some(keys) = self.by_order.get(&order).and_then(|id| self.waiting.get(id)) else {
            return;
        };
        let ready = keys.iter().all(|key| {
            !self.taken.contains(key) && self.queues.get(key).and_then(BTreeSet::first) == Some(&order)
        });
        if ready {
            self.ready.insert(order);
        }
    }
}

/// Every name a task has for its account. Identifiers, user names and e-mails share one space and disregard case: many a
/// target's identifier is the user name, and a task that deletes by it must not be overtaken by one that creates under
/// it. A name too many only makes two tasks wait for each other, one too few would let them overtake. A change to a name
/// takes the new name too, so that what follows under it waits. A task that names nobody has a lane of its own.
pub(crate) fn keys_of(id: &TaskId, payload: &Value) -> Vec<Key> {
    let account = payload.get("account").unwrap_or(&Value::Null);
    let changes = payload.get("changes").unwrap_or(&Value::Null);
    let mut keys = Vec::new();
    let mut add = |value: Option<&Value>| {
        let name = match value {
            Some(Value::String(text)) if !text.is_empty() => text.to_lowercase(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return,
        };
        keys.push(xxh3_64(format!("name\0{name}").as_bytes()));
    };
    for place in [account, changes, payload] {
        for field in ["id", "account_id"] {
            add(place.get(field));
        }
    }
    add(payload.get("account"));
    for place in [account, changes] {
        for field in ["username", "email"] {
            add(place.get(field));
        }
    }
    if keys.is_empty() {
        keys.push(xxh3_64(format!("task\0{id}").as_bytes()));
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a task may have no time")]
    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_second(second).unwrap())
    }

    fn start(lanes: &mut Lanes) -> Option<String> {
        lanes.start_next().map(TaskId::into_string)
    }

    #[test]
    fn tasks_of_one_account_run_one_at_a_time_in_order_of_creation() {
        let mut lanes = Lanes::default();
        lanes.insert("second".into(), at(2), &[1]);
        lanes.insert("first".into(), at(1), &[1]);
        lanes.insert("other".into(), at(3), &[2]);
        assert_eq!(start(&mut lanes).as_deref(), Some("first"));
        assert_eq!(start(&mut lanes).as_deref(), Some("other"));
        assert_eq!(start(&mut lanes), None);
        lanes.finish(&"first".into());
        assert_eq!(start(&mut lanes).as_deref(), Some("second"));
    }

    #[test]
    fn a_task_that_joins_two_accounts_waits_for_both() {
        let mut lanes = Lanes::default();
        lanes.insert("a".into(), at(1), &[1]);
        lanes.insert("b".into(), at(2), &[2]);
        lanes.insert("both".into(), at(3), &[1, 2]);
        lanes.insert("after".into(), at(4), &[2]);
        assert_eq!(start(&mut lanes).as_deref(), Some("a"));
        assert_eq!(start(&mut lanes).as_deref(), Some("b"));
        lanes.finish(&"b".into());
        assert_eq!(start(&mut lanes), None, "`after` must not overtake `both`");
        lanes.finish(&"a".into());
        assert_eq!(start(&mut lanes).as_deref(), Some("both"));
        assert_eq!(start(&mut lanes), None);
        lanes.finish(&"both".into());
        assert_eq!(start(&mut lanes).as_deref(), Some("after"));
    }

    #[test]
    fn two_names_that_a_third_task_joins_are_of_one_account() {
        let mut lanes = Lanes::default();
        let tasks: [(&str, i64, &[Key]); 3] =
            [("by-name", 1, &[1]), ("by-mail", 2, &[2]), ("joins", 3, &[1, 2])];
        lanes.learn(tasks.iter().map(|(_, _, keys)| *keys));
        for (id, second, keys) in tasks {
            lanes.insert(id.into(), at(second), keys);
        }
        lanes.learnt();
        for (id, _, _) in tasks {
            assert_eq!(start(&mut lanes).as_deref(), Some(id));
            assert_eq!(start(&mut lanes), None);
            lanes.finish(&id.into());
        }
    }

    #[test]
    fn an_older_task_that_arrives_late_goes_before_one_that_has_not_begun() {
        let mut lanes = Lanes::default();
        lanes.insert("new".into(), at(2), &[1]);
        lanes.insert("old".into(), at(1), &[1]);
        assert_eq!(start(&mut lanes).as_deref(), Some("old"));
        assert_eq!(start(&mut lanes), None);
    }

    #[test]
    fn names_of_an_account_meet_in_one_lane() {
        let keys = |payload| keys_of(&"t".into(), &payload);
        let meets = |a: &[Key], b: &[Key]| a.iter().any(|key| b.contains(key));
        let create = keys(json!({"account": {"username": "Ann", "email": "ann@example.org"}}));
        assert!(meets(&create, &keys(json!({"account": {"email": "ANN@example.org"}}))));
        assert!(meets(&create, &keys(json!({"account": {"id": "7"}, "changes": {"username": "ann"}}))));
        assert!(meets(
            &keys(json!({"account": {"id": 7}})),
            &keys(json!({"account": null, "account_id": "7"}))
        ));
        assert!(meets(&keys(json!({"account": "7"})), &keys(json!({"account": {"account_id": "7"}}))));
        assert!(
            meets(&create, &keys(json!({"account": {"id": "ann"}}))),
            "a user name may be the identifier"
        );
        assert!(!meets(&create, &keys(json!({"account": {"username": "bob"}}))));
        assert!(!meets(&keys_of(&"t1".into(), &json!(null)), &keys_of(&"t2".into(), &json!([1]))));
    }

    proptest! {
        /// Against the rule itself: whatever comes and ends in whatever order, a task starts only when no older waiting
        /// task and no running task shares a key with it, and everything runs in the end.
        #[test]
        fn no_task_overlaps_or_overtakes_one_of_its_account(
            tasks in prop::collection::vec((0_i64..20, prop::collection::vec(0_u64..6, 1..3)), 1..40),
            choices in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let mut lanes = Lanes::default();
            let mut running: Vec<usize> = Vec::new();
            let mut waiting: Vec<usize> = Vec::new();
            let mut incoming = (0..tasks.len()).collect::<Vec<_>>().into_iter();
            let mut choices = choices.into_iter();
            let mut done = 0;
            let shares = |a: usize, b: usize| tasks[a].1.iter().any(|key| tasks[b].1.contains(key));
            while done < tasks.len() {
                let choice = choices.next().map_or(1, |index| index.index(3));
                if choice == 0 && let Some(n) = incoming.next() {
                    prop_assert!(lanes.insert(n.to_string().into(), at(tasks[n].0), &tasks[n].1));
                    waiting.push(n);
                } else if choice == 1 && let Some(id) = lanes.start_next() {
                    let n: usize = id.as_str().parse().unwrap();
                    waiting.retain(|other| *other != n);
                    prop_assert!(!running.iter().any(|other| shares(n, *other)));
                    prop_assert!(!waiting.iter().any(|other| shares(n, *other) && (tasks[*other].0, *other) < (tasks[n].0, n)));
                    running.push(n);
                } else if let Some(n) = running.pop() {
                    lanes.finish(&n.to_string().into());
                    done += 1;
                } else if let Some(n) = incoming.next() {
                    lanes.insert(n.to_string().into(), at(tasks[n].0), &tasks[n].1);
                    waiting.push(n);
                } else {
                    prop_assert!(lanes.has_ready(), "{} tasks wait for nothing", waiting.len());
                }
            }
            prop_assert_eq!(lanes.waiting(), 0);
        }
    }
}
