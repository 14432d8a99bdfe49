//! Decides which tasks may run now, with one queue per account.
//!
//! A task identifies its account by identifier, user name, email or several of them. Two tasks that share any of these belong to the same
//! account, and run one after the other in the order in which Iden created them. A task with two names links all tasks under either name:
//! once a creation has shown that `ann` is `ann@example.org`, a change by email and a suspension by user name belong to the same account,
//! although they have no name in common. A queue exists as long as it contains a task.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bridgehead_sdk::{TaskId, folded};
use jiff::Timestamp;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

/// The hash of one name of an account. Hashes are small and contain no payload. A collision only makes two accounts share a queue.
pub(crate) type AccountKey = u64;

/// When a task was created; tasks without a time come last, in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    created: i128,
    arrival: u64,
}

/// The tasks of one account.
#[derive(Debug, Default)]
struct AccountQueue {
    keys: Vec<AccountKey>,
    waiting: BTreeSet<Order>,
    /// More than one only if queues were joined while a task of each was running.
    running: usize,
}

/// A task's position.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// One of the task's keys, to find its queue.
    name: AccountKey,
    is_started: bool,
}

/// All tasks of one app that are waiting or running.
#[derive(Debug, Default)]
pub(crate) struct AccountQueues {
    arrivals: u64,
    /// The queue of each key.
    queue_of: HashMap<AccountKey, u64>,
    by_number: HashMap<u64, AccountQueue>,
    /// All waiting or running tasks.
    tasks: HashMap<TaskId, Place>,
    by_order: BTreeMap<Order, TaskId>,
    ready: BTreeSet<Order>,
}

impl AccountQueues {
    /// Adds a task. Returns false if it is already known. `keys` identifies the account and must not be empty.
    pub(crate) fn insert(
        &mut self,
        id: TaskId,
        created_at: Option<Timestamp>,
        keys: Vec<AccountKey>,
    ) -> bool {
        if self.contains(&id) {
            return false;
        }
        self.arrivals += 1;
        let created = created_at.map_or(i128::MAX, Timestamp::as_nanosecond);
        let order = Order { created, arrival: self.arrivals };
        let keys = if keys.is_empty() { vec![xxh3_64(id.as_str().as_bytes())] } else { keys };
        self.tasks.insert(id.clone(), Place { name: keys[0], is_started: false });
        let mut queue = self.join(keys);
        queue.waiting.insert(order);
        self.by_order.insert(order, id);
        self.put_back(queue);
        true
    }

    /// Returns the oldest task that may run, and marks it as running.
    pub(crate) fn start_next(&mut self) -> Option<TaskId> {
        let order = self.ready.pop_first()?;
        let id = self.by_order.remove(&order)?;
        let place = self.tasks.get_mut(&id)?;
        place.is_started = true;
        let name = place.name;
        let mut queue = self.take_queue(name)?;
        queue.waiting.remove(&order);
        queue.running += 1;
        self.put_back(queue);
        Some(id)
    }

    /// Removes a running task that has ended; the next one of its account may follow.
    pub(crate) fn finish(&mut self, id: &TaskId) {
        let Some(mut queue) = self.tasks.remove(id).and_then(|place| self.take_queue(place.name)) else {
            return;
        };
        queue.running = queue.running.saturating_sub(1);
        self.put_back(queue);
    }

    /// Whether the task is waiting or running.
    pub(crate) fn contains(&self, id: &TaskId) -> bool {
        self.tasks.contains_key(id)
    }

    /// Whether the task is waiting for its turn.
    pub(crate) fn is_waiting(&self, id: &TaskId) -> bool {
        self.tasks.get(id).is_some_and(|place| !place.is_started)
    }

    /// The number of waiting tasks.
    pub(crate) fn waiting(&self) -> usize {
        self.by_order.len()
    }

    /// Whether any waiting task may run now.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many waiting tasks may run now.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// One queue out of all that these names lead to. It has to be put back.
    fn join(&mut self, keys: Vec<AccountKey>) -> AccountQueue {
        let mut joined = AccountQueue::default();
        for key in keys {
            match self.take_queue(key) {
                Some(mut queue) => {
                    // Merge the shorter queue into the longer one, so that many joins stay cheap.
                    if queue.keys.len() + queue.waiting.len() > joined.keys.len() + joined.waiting.len() {
                        std::mem::swap(&mut queue, &mut joined);
                    }
                    joined.keys.extend(queue.keys);
                    joined.waiting.extend(queue.waiting);
                    joined.running += queue.running;
                }
                None if joined.keys.contains(&key) => {}
                None => joined.keys.push(key),
            }
        }
        joined
    }

    fn take_queue(&mut self, name: AccountKey) -> Option<AccountQueue> {
        let queue = self.by_number.remove(self.queue_of.get(&name)?)?;
        if let Some(head) = queue.waiting.first() {
            self.ready.remove(head);
        }
        Some(queue)
    }

    /// Stores the queue under a new number, so that all of its keys refer to it. An empty queue is dropped.
    fn put_back(&mut self, queue: AccountQueue) {
        if queue.waiting.is_empty() && queue.running == 0 {
            for key in &queue.keys {
                self.queue_of.remove(key);
            }
            return;
        }
        if queue.running == 0
            && let Some(head) = queue.waiting.first()
        {
            self.ready.insert(*head);
        }
        self.arrivals += 1;
        for key in &queue.keys {
            self.queue_of.insert(*key, self.arrivals);
        }
        self.by_number.insert(self.arrivals, queue);
    }
}

/// All names by which a task refers to its account. Identifiers, user names and emails share one namespace and ignore case: in many targets
/// the identifier is the user name, and a task that deletes by it must not be overtaken by one that creates with it. An unnecessary name
/// only makes two tasks wait for each other; a missing one would let them overtake each other. A change to a name includes the new name, so
/// that later tasks with it wait. A task without a name gets its own queue.
pub(crate) fn keys_of(id: &TaskId, payload: &Value) -> Vec<AccountKey> {
    let account = payload.get("account").unwrap_or(&Value::Null);
    let changes = payload.get("changes").unwrap_or(&Value::Null);
    let mut keys = Vec::new();
    let mut add = |value: Option<&Value>| {
        let name = match value {
            Some(Value::String(text)) if !text.is_empty() => folded(text),
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

    fn start(queues: &mut AccountQueues) -> Option<String> {
        queues.start_next().map(TaskId::into_string)
    }

    #[test]
    fn tasks_of_one_account_run_sequentially_in_creation_order() {
        let mut queues = AccountQueues::default();
        queues.insert("second".into(), at(2), vec![1]);
        queues.insert("first".into(), at(1), vec![1]);
        queues.insert("other".into(), at(3), vec![2]);
        assert_eq!(start(&mut queues).as_deref(), Some("first"));
        assert_eq!(start(&mut queues).as_deref(), Some("other"));
        assert_eq!(start(&mut queues), None);
        queues.finish(&"first".into());
        assert_eq!(start(&mut queues).as_deref(), Some("second"));
    }

    #[test]
    fn task_with_keys_of_two_accounts_waits_for_both() {
        let mut queues = AccountQueues::default();
        queues.insert("a".into(), at(1), vec![1]);
        queues.insert("b".into(), at(2), vec![2]);
        assert_eq!(start(&mut queues).as_deref(), Some("a"));
        assert_eq!(start(&mut queues).as_deref(), Some("b"));
        queues.insert("both".into(), at(3), vec![1, 2]);
        queues.insert("after".into(), at(4), vec![2]);
        queues.finish(&"b".into());
        assert_eq!(start(&mut queues), None, "`after` must not overtake `both`");
        queues.finish(&"a".into());
        assert_eq!(start(&mut queues).as_deref(), Some("both"));
        assert_eq!(start(&mut queues), None);
        queues.finish(&"both".into());
        assert_eq!(start(&mut queues).as_deref(), Some("after"));
    }

    #[test]
    fn keys_joined_by_a_task_stay_joined_after_it_ends() {
        let (ann, mail) = (1, 2);
        let mut queues = AccountQueues::default();
        queues.insert("create".into(), at(1), vec![ann, mail]);
        queues.insert("update".into(), at(2), vec![mail]);
        queues.insert("suspend".into(), at(3), vec![ann]);
        assert_eq!(start(&mut queues).as_deref(), Some("create"));
        queues.finish(&"create".into());
        assert_eq!(start(&mut queues).as_deref(), Some("update"));
        assert_eq!(start(&mut queues), None, "the suspension waits for the change before it");
        queues.finish(&"update".into());
        assert_eq!(start(&mut queues).as_deref(), Some("suspend"));
        queues.finish(&"suspend".into());
        assert_eq!(
            (queues.by_number.len(), queues.queue_of.len()),
            (0, 0),
            "a queue without a task is forgotten"
        );
    }

    #[test]
    fn late_older_task_precedes_unstarted_newer_ones() {
        let mut queues = AccountQueues::default();
        queues.insert("new".into(), at(2), vec![1]);
        queues.insert("old".into(), at(1), vec![1]);
        assert_eq!(start(&mut queues).as_deref(), Some("old"));
        assert_eq!(start(&mut queues), None);
    }

    #[test]
    fn tasks_without_a_time_run_last_in_order_of_arrival() {
        let mut queues = AccountQueues::default();
        for (id, time, account) in [("x", None, 1), ("y", None, 2), ("z", None, 3), ("timed", at(9), 4)] {
            queues.insert(id.into(), time, vec![account]);
        }
        let order: Vec<String> = std::iter::from_fn(|| start(&mut queues)).collect();
        assert_eq!(order, ["timed", "x", "y", "z"]);
    }

    #[test]
    fn only_the_first_task_of_each_account_is_ready() {
        let mut queues = AccountQueues::default();
        assert!(!queues.has_ready());
        for (id, account) in [("a1", 1), ("a2", 1), ("b1", 2)] {
            assert!(queues.insert(id.into(), at(1), vec![account]));
            assert!(!queues.insert(id.into(), at(1), vec![account]), "it is already known");
        }
        assert_eq!((queues.ready(), queues.waiting()), (2, 3));
        assert_eq!(start(&mut queues).as_deref(), Some("a1"));
        assert!(queues.contains(&"a1".into()) && !queues.is_waiting(&"a1".into()));
        assert_eq!((queues.ready(), queues.waiting()), (1, 2));
        assert_eq!(start(&mut queues).as_deref(), Some("b1"));
        assert!(!queues.has_ready() && queues.is_waiting(&"a2".into()));
        queues.finish(&"a1".into());
        assert!(queues.has_ready() && !queues.contains(&"a1".into()));
    }

    #[test]
    fn all_names_of_an_account_share_one_queue() {
        let keys = |payload| keys_of(&"t".into(), &payload);
        let meets = |a: &[AccountKey], b: &[AccountKey]| a.iter().any(|key| b.contains(key));
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
        let empty = |id| keys(json!({"account": {"id": id, "username": "", "email": ""}}));
        assert!(!meets(&empty("7"), &empty("8")), "an empty field is no name");
    }

    proptest! {
        /// Checks the rule itself: in whatever order tasks arrive and end, a task starts only when no older waiting task and no running
        /// task shares a key with it, and every task runs eventually.
        #[test]
        fn tasks_of_one_account_never_overlap_or_overtake_in_any_order(
            tasks in prop::collection::vec((0_i64..20, prop::collection::vec(0_u64..6, 1..3)), 1..40),
            choices in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let mut queues = AccountQueues::default();
            let mut running: Vec<usize> = Vec::new();
            let mut waiting: Vec<usize> = Vec::new();
            let mut incoming = (0..tasks.len()).collect::<Vec<_>>().into_iter();
            let mut choices = choices.into_iter();
            let mut done = 0;
            let shares = |a: usize, b: usize| tasks[a].1.iter().any(|key| tasks[b].1.contains(key));
            while done < tasks.len() {
                let choice = choices.next().map_or(1, |index| index.index(3));
                if choice == 0 && let Some(n) = incoming.next() {
                    prop_assert!(queues.insert(n.to_string().into(), at(tasks[n].0), tasks[n].1.clone()));
                    waiting.push(n);
                } else if choice == 1 && let Some(id) = queues.start_next() {
                    let n: usize = id.as_str().parse().unwrap();
                    waiting.retain(|other| *other != n);
                    prop_assert!(!running.iter().any(|other| shares(n, *other)));
                    prop_assert!(!waiting.iter().any(|other| shares(n, *other) && (tasks[*other].0, *other) < (tasks[n].0, n)));
                    running.push(n);
                } else if let Some(n) = running.pop() {
                    queues.finish(&n.to_string().into());
                    done += 1;
                } else if let Some(n) = incoming.next() {
                    queues.insert(n.to_string().into(), at(tasks[n].0), tasks[n].1.clone());
                    waiting.push(n);
                } else {
                    prop_assert!(queues.has_ready(), "{} tasks wait for nothing", waiting.len());
                }
                prop_assert_eq!(queues.waiting(), waiting.len());
                prop_assert_eq!(queues.has_ready(), queues.ready() > 0);
                for n in 0..tasks.len() {
                    let id = n.to_string().into();
                    prop_assert_eq!(queues.is_waiting(&id), waiting.contains(&n));
                    prop_assert_eq!(queues.contains(&id), waiting.contains(&n) || running.contains(&n));
                }
            }
            prop_assert_eq!(queues.waiting(), 0);
        }
    }
}
