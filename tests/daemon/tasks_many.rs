//! Many tasks: each is executed once, and those of one account in sequence.

use std::collections::HashMap;

use bridgehead::sandbox::{Filter, Settings, TaskOrder};
use serde_json::{Value, json};

use crate::support::{World, eventually};

const MANY: &str = "poll_interval = \"100ms\"\nconcurrency = 32\ntimeout = \"30s\"\n";

/// The number of calls of each task, and the number of changes it made.
fn tally(world: &World) -> HashMap<String, (usize, usize)> {
    let mut tally: HashMap<String, (usize, usize)> = HashMap::new();
    for line in world.calls() {
        let counts = tally.entry(line.task).or_default();
        counts.0 += usize::from(line.event == "start");
        counts.1 += usize::from(line.event == "applied");
    }
    tally
}

/// Asserts that every task was called once, done once, and reported once with effect.
fn is_once(world: &World, tasks: &[String]) {
    let tally = tally(world);
    for task in tasks {
        assert_eq!(tally.get(task), Some(&(1, 1)), "{task}");
        let reports = world.sandbox.reports(task);
        assert_eq!(reports.len(), 1, "{task}: {reports:?}");
        assert!(reports[0].took_effect(), "{task}: {reports:?}");
    }
}

#[tokio::test]
async fn all_730_tasks_are_executed_and_reported_once() {
    let world = World::new().await;
    world.script(MANY, "");
    let task = |n: usize| json!({"action": "create_account", "payload": {"account": {"username": format!("user-{n}")}}});
    let tasks = world.sandbox.add_tasks(world.app, (0..730).map(task));
    let scheduled = world.sandbox.add_tasks(
        world.app,
        (1000..1050).map(|n| {
            let mut task = task(n);
            task["execute_after_seconds"] = json!(3600);
            task
        }),
    );
    let daemon = world.start();
    // More tasks are added while those are in progress, so that pages shift.
    eventually("some are done", || world.tasks_that_are("completed") > 100).await;
    let late = world.sandbox.add_tasks(world.app, (730..830).map(task));
    world.drained().await;
    daemon.stop().await;
    let tasks = [tasks, late].concat();
    assert_eq!(world.tasks_that_are("completed"), 830);
    is_once(&world, &tasks);
    assert_eq!(world.accounts().len(), 830);
    assert_eq!(world.tasks_that_are("scheduled"), 50);
    assert!(scheduled.iter().all(|task| world.reported(task).is_empty()));
    let lists = world.sandbox.ledger_matching(&Filter { method: Some("GET".into()), ..Filter::default() });
    let pages = lists
        .iter()
        .filter(|entry| entry.query.as_deref().is_some_and(|query| query.contains("offset=")))
        .count();
    assert!(pages >= 7, "the list was read in {pages} further pages");
}

#[tokio::test]
async fn scheduled_task_is_executed_when_due() {
    let world = World::new().await;
    world.script(MANY, "");
    let task = world.sandbox.add_task(
        world.app,
        json!({"action": "create_account", "payload": {"account": {"username": "ann"}}, "execute_after_seconds": 3600}),
    );
    let other = world.task_for("create_account", json!("bob"));
    let daemon = world.start();
    eventually("the other task is done", || world.task(&other)["status"] == "completed").await;
    assert_eq!((world.task(&task)["status"].as_str(), world.attempts(&task).len()), (Some("scheduled"), 0));
    world.sandbox.advance_clock(std::time::Duration::from_secs(3601));
    eventually("the task is done", || world.task(&task)["status"] == "completed").await;
    daemon.stop().await;
    is_once(&world, &[task, other]);
}

/// Seven tasks for one account in order, each with other identifiers than the previous one. The second and the third have none in common;
/// the first connects them.
fn life(n: usize) -> [Value; 7] {
    let (user, upper, mail) = (format!("user-{n}"), format!("USER-{n}"), format!("User-{n}@Example.org"));
    let (new, new_upper, new_mail) = (format!("new-{n}"), format!("New-{n}"), format!("NEW-{n}@example.org"));
    let rename = json!({"username": new, "email": format!("new-{n}@example.org")});
    [
        json!({"action": "create_account", "payload": {"account": {"username": user, "email": mail.to_lowercase()}}}),
        json!({"action": "update_account", "payload": {"account": {"email": mail}, "changes": {"floor": n}}}),
        json!({"action": "suspend_account", "payload": {"account": {"id": user}}}),
        json!({"action": "update_account", "payload": {"account": {"username": upper}, "changes": rename}}),
        json!({"action": "unsuspend_account", "payload": {"account": {"username": new_upper}}}),
        json!({"action": "reset_password", "payload": {"account": {"username": new, "email": new_mail}}}),
        json!({"action": "delete_account", "payload": {"account": {"email": new_mail}, "account_id": user}}),
    ]
}

#[tokio::test]
async fn tasks_of_one_account_never_overlap_or_overtake() {
    const ACCOUNTS: usize = 60;
    let world = World::new().await;
    world.sandbox.set_settings(Settings { task_order: TaskOrder::NewestFirst, ..Settings::default() });
    world.script(MANY, "");
    world.rules(&json!([{"method": "update_account", "delay": 0.02}, {"delay": 0.005}]));
    let mut whose: HashMap<String, (usize, usize)> = HashMap::new();
    // The first four of every account exist from the start; the others are added while those are in progress.
    let lives: Vec<[Value; 7]> = (0..ACCOUNTS).map(life).collect();
    let mut add = |steps: std::ops::Range<usize>| {
        for step in steps {
            for (n, life) in lives.iter().enumerate() {
                whose.insert(world.sandbox.add_task(world.app, life[step].clone()), (n, step));
            }
        }
    };
    add(0..4);
    let daemon = world.start();
    eventually("some are done", || world.tasks_that_are("completed") > 60).await;
    add(4..7);
    world.drained().await;
    daemon.stop().await;

    let mut under_way: HashMap<usize, usize> = HashMap::new();
    let mut done: HashMap<usize, Vec<usize>> = HashMap::new();
    let (mut at_once, mut most_at_once) = (0, 0);
    for line in world.calls() {
        let Some(&(account, step)) = whose.get(&line.task) else { continue };
        match line.event.as_str() {
            "start" => {
                assert_eq!(under_way.insert(account, step), None, "two tasks of account {account} overlap");
                at_once += 1;
                most_at_once = most_at_once.max(at_once);
            }
            "end" => {
                assert_eq!(under_way.remove(&account), Some(step));
                done.entry(account).or_default().push(step);
                at_once -= 1;
            }
            _ => {}
        }
    }
    for account in 0..ACCOUNTS {
        assert_eq!(done[&account], [0, 1, 2, 3, 4, 5, 6], "account {account}");
    }
    assert!(most_at_once > 1, "different accounts do run at once: {most_at_once}");
    assert_eq!(world.tasks_that_are("completed"), ACCOUNTS * 7);
    is_once(&world, &whose.into_keys().collect::<Vec<_>>());
    assert!(world.accounts().is_empty());
}

#[tokio::test]
async fn many_tasks_of_one_account_do_not_block_others() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"50s\"\n", "");
    world.account(&json!({"id": "ann", "username": "ann"}));
    world.rules(&json!([{"method": "update_account", "apply": true, "hang_until": "never"}]));
    world.sandbox.add_tasks(
        world.app,
        (0..4300).map(|n| {
            let payload =
                json!({"account": {"username": "ann"}, "changes": {"last_name": format!("Name {n}")}});
            json!({"action": "update_account", "payload": payload})
        }),
    );
    let daemon = world.start();
    eventually("the first one is under way", || world.called("update_account", "ann") > 0).await;
    let other = world.task_for("create_account", json!("bob"));
    eventually("the other one is done", || world.task(&other)["status"] == "completed").await;
    daemon.kill();
}
