//! Whatever answers in place of the Bridge: nothing crashes, nothing is lost, memory stays bounded, the key is sent nowhere else, and once
//! the Bridge is back, the daemon catches up.

#![expect(clippy::expect_used, reason = "a test")]

mod impostor;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bridgehead::sandbox::Report;
use serde_json::{Value, json};

use self::impostor::{Asked, Deed, Impostor, TRICKS, Trick};
use crate::support::{Daemon, KEY, World, eventually};

/// A memory limit in KiB: more than the daemon usually needs, and far less than an unbounded response would take.
const MEMORY: u64 = 192 * 1024;

const PEOPLE: &str =
    "id,email,username,status,team\nu1,ann@example.org,ann,active,t1\nu2,bob@example.org,bob,,\n";

/// A daemon that connects to an impostor.
async fn world(target: &str) -> (World, Impostor) {
    let world = World::new().await;
    let impostor = Impostor::before(&world.sandbox.base_url()).await;
    configure(&world, &impostor, target);
    (world, impostor)
}

/// Writes the configuration; `target` is the TOML after the app's `app_id`.
fn configure(world: &World, impostor: &Impostor, target: &str) {
    let text = format!(
        "[bridge]\nbase_url = \"{}\"\napi_key = {{ env = \"IDEN_API_KEY\" }}\nrequest_timeout = \"1s\"\n\n\
         [state]\npath = \"state\"\n\n[apps.hr]\napp_id = \"{}\"\n{target}",
        impostor.base_url, world.app
    );
    world.write("bridgehead.toml", &text);
}

const TASKS_ONLY: &str = "connector = \"simulated\"\nsync = { enabled = false }\ntasks = { poll_interval = \"200ms\" }\n\
                          [apps.hr.target]\naccounts = 0\n";

fn create(name: &str) -> Value {
    json!({"action": "create_account", "payload": {"account": {"username": name}}})
}

/// The daemon's peak memory so far, in KiB.
fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|figure| figure.parse().ok()).expect("a figure")
}

/// Asserts that every task was done once, and that nothing forbidden happened.
async fn all_is_well(world: &World, impostor: &Impostor, daemon: Daemon, tasks: &[String]) {
    world.drained().await;
    for task in tasks {
        assert_eq!(world.task(task)["status"], "completed", "{task}");
        let effective = world.sandbox.reports(task).iter().filter(|report| report.took_effect()).count();
        assert_eq!(effective, 1, "{task}");
    }
    assert_eq!(impostor.trapped(), 0, "somebody followed a link that leads elsewhere");
    let peak = peak(&daemon);
    assert!(peak < MEMORY, "{peak} KiB");
    let log = daemon.stop().await;
    assert!(!log.contains(KEY) && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_is_done_once_a_broken_task_list_recovers() {
    let (world, impostor) = world(TASKS_ONLY).await;
    let mut tasks: Vec<String> =
        (0..3).map(|n| world.sandbox.add_task(world.app, create(&format!("early-{n}")))).collect();
    // Only every other request, so that the waits between them do not grow.
    let (requests, tricks) = (AtomicUsize::new(0), AtomicUsize::new(0));
    impostor.plan(move |asked| {
        if asked.path != "/tasks/" || requests.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
            return Deed::Forward;
        }
        TRICKS.get(tricks.fetch_add(1, Ordering::SeqCst)).map_or(Deed::Forward, |trick| Deed::Instead(*trick))
    });
    let daemon = world.start();
    eventually("all tricks have been played", || impostor.played() >= TRICKS.len()).await;
    tasks.push(world.sandbox.add_task(world.app, create("late")));
    all_is_well(&world, &impostor, daemon, &tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn report_is_repeated_until_the_bridge_itself_responds() {
    let (world, impostor) = world(TASKS_ONLY).await;
    // Each trick twice: without forwarding the report to the Bridge, and after forwarding it.
    let mut deeds = HashMap::new();
    let mut tasks = Vec::new();
    for trick in TRICKS {
        for deed in [Deed::Instead(trick), Deed::After(trick)] {
            let task = world.sandbox.add_task(world.app, create(&format!("person-{}", tasks.len())));
            deeds.insert(format!("/tasks/{task}/status/"), deed);
            tasks.push(task);
        }
    }
    let (deeds, all) = (Mutex::new(deeds), tasks.len());
    impostor.plan(move |asked| match deeds.lock().expect("the deeds").remove(&asked.path) {
        Some(deed) => deed,
        None => Deed::Forward,
    });
    let daemon = world.start();
    eventually("all tricks have been played", || impostor.played() == all).await;
    all_is_well(&world, &impostor, daemon, &tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn started_task_is_refetched_until_the_bridge_itself_responds() {
    let slow = |latency: &str| {
        let more = "200ms\", timeout = \"8s\", concurrency = 64";
        format!("{TASKS_ONLY}slow_latency = \"{latency}\"\n").replace("200ms\"", more)
    };
    let (world, impostor) = world(&slow("50s")).await;
    let tasks: Vec<String> =
        (0..TRICKS.len()).map(|n| world.sandbox.add_task(world.app, create(&format!("slow-{n}")))).collect();
    // Killed while all of them are running, so that the daemon must ask Iden for each after the restart.
    let daemon = world.start();
    let database = || world.bytes_below("state");
    eventually("every task has an intent", || {
        let bytes = database();
        tasks.iter().all(|task| bytes.windows(task.len()).any(|window| window == task.as_bytes()))
    })
    .await;
    daemon.kill();
    configure(&world, &impostor, &slow("0s"));
    let tricks = tasks.iter().map(|task| format!("/tasks/{task}/")).zip(TRICKS).collect::<HashMap<_, _>>();
    let tricks = Mutex::new(tricks);
    impostor.plan(move |asked| match tricks.lock().expect("the tricks").remove(&asked.path) {
        Some(trick) if asked.method == "GET" => Deed::Instead(trick),
        _ => Deed::Forward,
    });
    let daemon = world.start();
    eventually("all tricks have been played", || impostor.played() == TRICKS.len()).await;
    all_is_well(&world, &impostor, daemon, &tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_task_affects_no_other() {
    let (world, impostor) = world(TASKS_ONLY).await;
    let mut good = vec![world.sandbox.add_task(world.app, create("first"))];
    for bad in [
        json!(null),
        json!(17),
        json!([]),
        json!({}),
        json!({"id": null}),
        json!({"id": [1]}),
        json!({"id": "../../apps"}),
        json!({"id": "\u{0}"}),
        json!({"id": "x".repeat(10_000)}),
        json!({"id": 4711, "action": ["what"], "payload": []}),
        json!({"id": "odd-1", "action": "create_account", "payload": "x", "created_at": 7}),
        json!({"id": "odd-2", "action": "x".repeat(100_000), "payload": {"account": {"id": {"a": 1}}}}),
        json!({"id": "odd-3", "action": "create_account", "payload": {"account": {"username": ["s3cret"]}}}),
    ] {
        world.sandbox.add_task(world.app, json!({"raw": true, "task": bad}));
    }
    good.push(world.sandbox.add_task(world.app, create("last")));
    let daemon = world.start();
    eventually("the good tasks are done", || {
        good.iter().all(|task| world.task(task)["status"] == "completed")
    })
    .await;
    for id in ["odd-1", "odd-2", "odd-3"] {
        let told = || world.sandbox.reports(id).into_iter().find(Report::took_effect);
        eventually("the odd one has failed", || told().is_some()).await;
        let body = told().map(|report| report.body.to_string()).unwrap_or_default();
        assert!(body.contains("INTERNAL_ERROR") && !body.contains("s3cret"), "{body}");
        assert!(body.len() < 4000, "{} bytes", body.len());
    }
    assert!(peak(&daemon) < MEMORY && impostor.trapped() == 0);
    let log = daemon.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}

/// One trick of each kind, because each takes a whole sync.
const KINDS: [Trick; 12] = [
    Trick::Null,
    Trick::List,
    Trick::Html,
    Trick::WrongTypes,
    Trick::Nested,
    Trick::Endless,
    Trick::SlowLoris,
    Trick::TooShort,
    Trick::Redirect,
    Trick::ForeignNext,
    Trick::HtmlConflict,
    Trick::HtmlBadRequest,
];

/// Plays each trick on the first request of a sync that `is_meant` selects. However such a sync ends, it removes no account; an undisturbed
/// one afterwards brings everything up to date.
async fn syncs_survive(is_meant: fn(&Asked) -> bool, register: bool) {
    let app = format!(
        "connector = \"file\"\nregister_resource_types = {register}\n\
         sync = {{ guard = {{ max_removals = 1000, max_removal_percent = 100 }} }}\n[apps.hr.target]\npath = \"people\"\n"
    );
    let (world, impostor) = world(&app).await;
    world.write("people/team.csv", "id,name\nt1,Red\n");
    world.write("people/accounts.csv", PEOPLE);
    let active = || -> Vec<String> {
        let records = world.sandbox.records(world.app, "account");
        let active = records.iter().filter(|record| record["active"] == true);
        active.map(|record| record["id"].as_str().expect("an id").to_owned()).collect()
    };
    configure(&world, &impostor, &app.replace("= false", "= true"));
    assert!(world.run(&["sync", "hr"]).await.status.success());
    configure(&world, &impostor, &app);
    for (round, trick) in KINDS.into_iter().enumerate() {
        let has_played = AtomicUsize::new(0);
        impostor.plan(move |asked| {
            let is_first = is_meant(asked) && has_played.fetch_add(1, Ordering::SeqCst) == 0;
            if is_first { Deed::Instead(trick) } else { Deed::Forward }
        });
        let output = world.run(&["sync", "hr"]).await;
        let told =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!told.contains(KEY) && !told.contains("panicked"), "{trick:?}: {told}");
        assert_eq!(impostor.played(), round + 1, "{trick:?}: {told}");
        assert_eq!(active(), ["u1", "u2"], "{trick:?}: {told}");
    }
    impostor.plan(|_| Deed::Forward);
    world.write("people/accounts.csv", &PEOPLE.replace("u2,bob", "u3,eve"));
    let output = world.run(&["sync", "hr"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(active(), ["u1", "u3"]);
    assert_eq!(impostor.trapped(), 0, "somebody followed a link that leads elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_survives_any_response_to_a_registration() {
    syncs_survive(|asked| asked.method == "POST" && asked.path == "/resource-types/", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_survives_any_resource_type_list() {
    syncs_survive(|asked| asked.method == "GET" && asked.path == "/resource-types/", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_survives_any_response_to_its_start() {
    syncs_survive(|asked| asked.method == "POST" && asked.path == "/sync/", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_survives_any_response_to_a_page() {
    syncs_survive(|asked| asked.method == "PUT", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_survives_any_progress_response() {
    syncs_survive(|asked| asked.method == "GET" && asked.path.starts_with("/sync/"), true).await;
}
