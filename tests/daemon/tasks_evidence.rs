//! Outcomes are based on observation: disturbances of attempts do not change them, and `completed` means that the change was seen.

use serde_json::{Value, json};

use crate::admin::{address, get};
use crate::support::{World, eventually};
use crate::target::QUICK;

/// Short enough that a hanging call exceeds its deadline.
const SHORT: &str =
    "poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"30s\"\nconcurrency = 64\n";

fn error(code: &str, more: Value) -> Value {
    let mut data = more;
    data["code"] = json!(code);
    json!({"message": format!("HR says {code}"), "data": data})
}

/// A case, for an account of this name: the existing account, the action, the payload of the task.
type Case = (&'static str, fn(&str) -> Option<Value>, &'static str, fn(&str) -> Value);

const CASES: [Case; 8] = [
    (
        "delete somebody",
        |name| Some(json!({"id": name, "username": name})),
        "delete_account",
        |name| json!({"account": {"id": name}}),
    ),
    // The username exists, but with another id.
    (
        "delete nobody",
        |name| Some(json!({"id": format!("real-{name}"), "username": name})),
        "delete_account",
        |name| json!({"account": {"id": name}}),
    ),
    (
        "create",
        |_| None,
        "create_account",
        |name| json!({"account": {"username": name, "email": format!("{name}@example.org"), "password": "correct-horse"}}),
    ),
    (
        "create where somebody is without the email",
        |name| Some(json!({"id": name, "username": name})),
        "create_account",
        |name| json!({"account": {"username": name, "email": format!("{name}@example.org")}}),
    ),
    (
        "create what is there already",
        |name| Some(json!({"id": name, "username": name, "status": "active"})),
        "create_account",
        |name| json!({"account": {"username": name}}),
    ),
    (
        "suspend",
        |name| Some(json!({"id": name, "username": name, "status": "active"})),
        "suspend_account",
        |name| json!({"account": {"id": name}}),
    ),
    ("suspend nobody", |_| None, "suspend_account", |name| json!({"account": {"id": name}})),
    (
        "rename",
        |name| Some(json!({"id": format!("id-{name}"), "username": name})),
        "update_account",
        |name| json!({"account": {"username": name}, "changes": {"username": format!("{name}-2")}}),
    ),
];

/// Disturbances of the first attempt.
fn disturbances() -> Vec<(&'static str, Value)> {
    vec![
        ("nothing", Value::Null),
        ("rate limit", json!({"error": error("RATE_LIMITED", json!({}))})),
        ("no answer, nothing done", json!({"error": error("TIMEOUT", json!({}))})),
        ("no answer, done", json!({"apply": true, "error": error("TIMEOUT", json!({}))})),
        ("past its deadline", json!({"apply": true, "hang": 2})),
        (
            "unknown, and not to be repeated at once",
            json!({"error": error("INTERNAL_ERROR", json!({"effect": "unknown", "retry": "backoff"}))}),
        ),
    ]
}

/// The report without the account's name.
fn plain(report: &Value, name: &str) -> String {
    report.to_string().replace(name, "NAME")
}

#[tokio::test]
async fn disturbances_do_not_change_reported_outcomes() {
    let world = World::new().await;
    world.script(SHORT, "");
    let (mut rules, mut tasks) = (Vec::new(), Vec::new());
    for (d, (disturbance, rule)) in disturbances().into_iter().enumerate() {
        for (c, (case, before, action, payload)) in CASES.into_iter().enumerate() {
            let name = format!("user-{c}-{d}");
            if let Some(record) = before(&name) {
                world.account(&record);
            }
            if let Value::Object(mut rule) = rule.clone() {
                rule.extend([
                    ("method".to_owned(), json!(action)),
                    ("account".to_owned(), json!(name)),
                    ("attempt".to_owned(), json!(1)),
                ]);
                rules.push(Value::Object(rule));
            }
            let task =
                world.sandbox.add_task(world.app, json!({"action": action, "payload": payload(&name)}));
            tasks.push((case, disturbance, name, task));
        }
    }
    world.rules(&json!(rules));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    let heard = |name: &str, task: &str| plain(&world.reported(task)[0], name);
    for (index, (case, disturbance, name, task)) in tasks.iter().enumerate() {
        let (_, _, undisturbed, first) = &tasks[index % CASES.len()];
        assert_eq!(heard(name, task), heard(undisturbed, first), "{case}, {disturbance}");
    }
    let outcome = |case: usize| heard(&tasks[case].2, &tasks[case].3);
    for (case, wanted) in [
        "completed",
        "ACCOUNT_NOT_FOUND",
        "completed",
        "ACCOUNT_ALREADY_EXISTS",
        "completed",
        "completed",
        "ACCOUNT_NOT_FOUND",
        "completed",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(outcome(case).contains(wanted), "{}: {}", CASES[case].0, outcome(case));
    }
}

#[tokio::test]
async fn kills_do_not_change_reported_outcomes() {
    let world = World::new().await;
    world.script(SHORT, "");
    let (mut rules, mut tasks) = (Vec::new(), Vec::new());
    // Killed before and after the target has made the change.
    for (d, rule) in [json!({"until": "go"}), json!({"hang_until": "go"})].into_iter().enumerate() {
        for (c, (case, before, action, payload)) in CASES.into_iter().enumerate() {
            let name = format!("user-{c}-{d}");
            if let Some(record) = before(&name) {
                world.account(&record);
            }
            let mut rule = rule.as_object().expect("a rule").clone();
            rule.extend([
                ("method".to_owned(), json!(action)),
                ("account".to_owned(), json!(name)),
                ("attempt".to_owned(), json!(1)),
            ]);
            rules.push(Value::Object(rule));
            let task =
                world.sandbox.add_task(world.app, json!({"action": action, "payload": payload(&name)}));
            tasks.push((case, name, task));
        }
    }
    world.rules(&json!(rules));
    let daemon = world.start();
    // For an account that exists already, the connector is not called.
    let begun = |task: &String| !world.attempts(task).is_empty() || !world.reported(task).is_empty();
    eventually("all are under way", || tasks.iter().all(|(_, _, task)| begun(task))).await;
    daemon.kill();
    world.rules(&json!([]));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    let wanted = [
        "completed",
        "ACCOUNT_NOT_FOUND",
        "completed",
        "ACCOUNT_ALREADY_EXISTS",
        "completed",
        "completed",
        "ACCOUNT_NOT_FOUND",
        "completed",
    ];
    for (index, (case, name, task)) in tasks.iter().enumerate() {
        let report = plain(&world.reported(task)[0], name);
        assert!(report.contains(wanted[index % CASES.len()]), "{case}: {report}");
    }
    let created = |name: &str| world.accounts().iter().filter(|account| account["username"] == *name).count();
    assert_eq!((created("user-2-0"), created("user-2-1")), (1, 1), "no account was made twice");
}

#[tokio::test]
async fn account_that_takes_over_a_name_is_never_changed() {
    let world = World::new().await;
    world.script(SHORT, "");
    let actions = ["delete_account", "suspend_account", "update_account", "reset_password"];
    // Refused for now, or not answered: the account is read back first.
    let disturbances = [
        ("later", json!({"error": error("RATE_LIMITED", json!({"retry_after": 1}))})),
        ("lost", json!({"until": "go"})),
    ];
    let (mut rules, mut tasks) = (Vec::new(), Vec::new());
    for (disturbance, rule) in &disturbances {
        for action in actions {
            let name = format!("{disturbance}-{action}");
            world.account(&json!({"id": format!("first-{name}"), "username": name, "status": "active"}));
            let mut rule = rule.as_object().expect("a rule").clone();
            rule.extend([("method".to_owned(), json!(action)), ("account".to_owned(), json!(name))]);
            rules.push(Value::Object(rule));
            let payload = json!({
                "account": {"username": name}, "changes": {"last_name": "New"}, "new_password": "correct-horse-1"
            });
            let task = world.sandbox.add_task(world.app, json!({"action": action, "payload": payload}));
            tasks.push((name, task));
        }
    }
    world.rules(&json!(rules));
    let daemon = world.start();
    eventually("all are under way", || tasks.iter().all(|(_, task)| !world.attempts(task).is_empty())).await;
    daemon.kill();
    // Meanwhile, each account was renamed, and somebody else got its name.
    for (name, _) in &tasks {
        world.account(
            &json!({"id": format!("first-{name}"), "username": format!("old-{name}"), "status": "active"}),
        );
        world.account(&json!({"id": format!("second-{name}"), "username": name, "status": "active"}));
    }
    world.rules(&json!([]));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(world.changes(), Vec::<Value>::new(), "nobody was changed");
    for (name, task) in &tasks {
        let message = world.message(task);
        // A refusal that the journal did not hold yet when the daemon was killed is as unknown as a call without an answer.
        let is_unknown = name.starts_with("lost") || message.contains("was interrupted");
        assert_eq!(world.code(task), if is_unknown { "TIMEOUT" } else { "INTERNAL_ERROR" }, "{message}");
        let says = format!("{name} has become the name of another account, second-{name}");
        assert!(message.contains(&says), "{message}");
    }
}

#[tokio::test]
async fn connector_receives_may_have_applied() {
    let world = World::new().await;
    world.script(SHORT, "");
    world.account(&json!({"id": "ann", "username": "ann"}));
    world.account(&json!({"id": "bob", "username": "bob"}));
    world.rules(&json!([
        {"method": "suspend_account", "account": "ann", "attempt": 1, "error": error("RATE_LIMITED", json!({}))},
        {"method": "suspend_account", "account": "bob", "attempt": 1, "error": error("TIMEOUT", json!({}))},
        {"method": "suspend_account", "account": "bob", "attempt": 2, "error": error("RATE_LIMITED", json!({}))},
    ]));
    let ann = world.task_for("suspend_account", json!({"id": "ann"}));
    let bob = world.task_for("suspend_account", json!({"id": "bob"}));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    let ledger = world.read("target/ledger.jsonl");
    let told = |task: &str| -> Vec<bool> {
        let lines = ledger.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        let lines = lines.filter(|line| line["event"] == "start" && line["task"] == task);
        lines.map(|line| line["may_have_applied"].as_bool().expect("told")).collect()
    };
    assert_eq!(told(&ann), [false, false], "the number of the attempt is no evidence");
    assert_eq!(told(&bob), [false, true, true], "what may have been applied once may have been for good");
}

#[tokio::test]
async fn success_without_effect_is_not_reported_as_completed() {
    let world = World::new().await;
    world.script(
        "poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"3s\"\nconcurrency = 16\n",
        "",
    );
    for name in ["suspend", "unsuspend", "update", "leave", "delete", "reset"] {
        let status = if name == "unsuspend" { "suspended" } else { "active" };
        world.account(&json!({"id": name, "username": name, "last_name": "Old", "status": status, "memberships": {"team": ["t1"]}}));
    }
    // The target reports success, but does nothing.
    let idle = [
        "create_account",
        "suspend_account",
        "unsuspend_account",
        "update_account",
        "delete_account",
        "reset_password",
    ];
    let mut rules: Vec<Value> =
        idle.iter().map(|method| json!({"method": method, "apply": false, "answer": {}})).collect();
    rules.insert(0, json!({"method": "create_account", "account": "gone", "apply": false, "answer": {"account_id": "leads-nowhere"}}));
    world.rules(&json!(rules));
    let add = |action: &str, payload: Value| {
        world.sandbox.add_task(world.app, json!({"action": action, "payload": payload}))
    };
    let who = |name: &str| json!({"account": {"id": name}});
    let lies = [
        (add("create_account", json!({"account": {"username": "new"}})), "the account does not exist"),
        (add("create_account", json!({"account": {"username": "gone"}})), "the account does not exist"),
        (add("suspend_account", who("suspend")), "its status is active, expected suspended"),
        (add("unsuspend_account", who("unsuspend")), "its status is suspended, expected active"),
        (
            add("update_account", json!({"account": {"id": "update"}, "changes": {"last_name": "New"}})),
            "last_name is 'Old', expected 'New'",
        ),
        (
            add("update_account", json!({"account": {"id": "leave"}, "memberships": {"team": []}})),
            "it is still in team t1",
        ),
        (add("delete_account", who("delete")), "the account still exists"),
    ];
    // A password cannot be verified.
    let reset = add("reset_password", json!({"account": {"id": "reset", "new_password": "correct-horse"}}));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for (task, says) in &lies {
        assert_eq!(world.code(task), "INTERNAL_ERROR", "{says}");
        let message = world.message(task);
        assert!(message.contains("hr reported success") && message.ends_with(says), "{message}");
        assert_eq!(world.attempts(task), [1], "{says}");
    }
    assert_eq!(world.task(&reset)["status"], "completed");
}

#[tokio::test]
async fn iden_learns_the_identifier_of_a_new_account_as_text() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.account(&json!({"id": "7", "username": "seven"}));
    let create = |account: &str, answer: Value| json!({"method": "create_account", "account": account, "apply": true, "answer": answer});
    let mut number = create("by-number", json!({"account_id": 7}));
    number["apply"] = json!(false);
    world.rules(&json!([
        create("silent", json!({})),
        create("blank", json!({"account_id": ""})),
        create("null", json!({"account_id": null, "note": "kept"})),
        number,
    ]));
    let tasks =
        ["silent", "blank", "null", "by-number"].map(|name| world.task_for("create_account", json!(name)));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    let results = tasks.map(|task| world.task(&task)["result"].clone());
    assert_eq!(
        results,
        [
            json!({"account_id": "silent"}),
            json!({"account_id": "blank"}),
            json!({"account_id": "null", "note": "kept"}),
            json!({"account_id": "7"}),
        ]
    );
}

#[tokio::test]
async fn success_without_effect_is_detected_without_a_prior_state() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"5s\"\n", "");
    world.account(&json!({"id": "ann", "username": "ann", "last_name": "Old"}));
    world.rules(&json!([
        {"method": "update_account", "apply": false, "hang": 60, "times": 1},
        {"method": "update_account", "apply": false, "answer": {}},
    ]));
    let task = world.sandbox.add_task(world.app, json!({"action": "update_account", "payload": {"account": {"id": "ann"}, "changes": {"last_name": "New"}}}));
    let daemon = world.start();
    eventually("the attempt is under way", || world.called("update_account", "ann") == 1).await;
    daemon.kill();
    std::fs::remove_file(world.path("state/tasks.db")).expect("it is there");
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    let reported = world.task(&task);
    assert_eq!(reported["status"], "failed", "{reported}");
    assert!(reported.to_string().contains("last_name is 'Old', expected 'New'"), "{reported}");
}

#[tokio::test]
async fn verification_waits_for_a_slow_target() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.account(&json!({"id": "ann", "username": "ann", "status": "active", "last_name": "Old"}));
    world.account(&json!({"id": "eve", "username": "eve", "last_name": "Old"}));
    let old = json!({"id": "ann", "username": "ann", "status": "active", "last_name": "Old"});
    world.rules(&json!([
        {"method": "find_account", "account": "ann", "answer": old, "times": 3},
        // The target stores names in capitals.
        {"method": "find_account", "account": "eve", "answer": {"id": "eve", "username": "eve", "last_name": "NEW"}, "skip": 1},
    ]));
    let suspend = world.task_for("suspend_account", json!({"id": "ann"}));
    let rename = world.sandbox.add_task(world.app, json!({"action": "update_account", "payload": {"account": {"id": "eve"}, "changes": {"last_name": "New"}}}));
    let daemon = world.start();
    world.drained().await;
    daemon.says("last_name is 'NEW', expected 'New'").await;
    daemon.stop().await;
    for task in [&suspend, &rename] {
        assert_eq!((world.task(task)["status"].as_str(), world.attempts(task)), (Some("completed"), vec![1]));
    }
    assert_eq!(world.called("find_account", "ann"), 4, "looked at until it showed");
    assert_eq!(world.called("find_account", "eve"), 2, "one look is enough if it shows");
}

#[tokio::test]
async fn unverifiable_fields_are_named_in_the_result() {
    let world = World::new().await;
    world.script_with(", unverifiable = ['last_name', 'status']", QUICK, "");
    world.account(&json!({"id": "ann", "username": "ann", "status": "active", "last_name": "Old"}));
    world.rules(&json!([{"method": "suspend_account", "apply": false, "answer": {}}, {"method": "update_account", "apply": false, "answer": {"note": "kept"}}]));
    let suspend = world.task_for("suspend_account", json!({"id": "ann"}));
    let rename = world.sandbox.add_task(world.app, json!({"action": "update_account", "payload": {"account": {"id": "ann"}, "changes": {"last_name": "New"}}}));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(
        world.reported(&suspend),
        [json!({"status": "completed", "result": {"not_verified": ["status"]}})]
    );
    assert_eq!(
        world.reported(&rename),
        [json!({"status": "completed", "result": {"note": "kept", "not_verified": ["last_name"]}})]
    );
}

#[tokio::test]
async fn one_failed_lookup_does_not_hide_a_missing_effect() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"3s\"\n", "");
    world.account(&json!({"id": "ann", "username": "ann", "status": "active"}));
    let for_good = error("INTERNAL_ERROR", json!({"effect": "not_applied", "retry": "never"}));
    world.rules(&json!([
        {"method": "suspend_account", "answer": {}},
        {"method": "find_account", "error": for_good, "times": 1},
    ]));
    let task = world.task_for("suspend_account", json!({"id": "ann"}));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(world.code(&task), "INTERNAL_ERROR");
    assert!(world.message(&task).contains("reported success"), "{}", world.message(&task));
}

#[tokio::test]
async fn verification_still_waits_after_attempts_used_all_time() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"6s\"\ngive_up_after = \"6s\"\n", "");
    world.account(&json!({"id": "ann", "username": "ann", "status": "active"}));
    let old = json!({"id": "ann", "username": "ann", "status": "active"});
    let limited = error("RATE_LIMITED", json!({"retry_after": 4.9}));
    world.rules(&json!([
        {"method": "suspend_account", "attempt": 1, "error": limited},
        {"method": "find_account", "answer": old, "times": 3},
    ]));
    let task = world.task_for("suspend_account", json!({"id": "ann"}));
    let daemon = world.start();
    world.drained().await;
    let log = daemon.stop().await;
    assert_eq!(
        (world.task(&task)["status"].as_str(), world.attempts(&task)),
        (Some("completed"), vec![1, 2]),
        "{log}"
    );
}

#[tokio::test]
async fn unverifiable_success_is_not_reported_as_failed() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"3s\"\n", "");
    world.account(&json!({"id": "ann", "username": "ann", "status": "active"}));
    world.rules(&json!([{"method": "find_account", "error": error("TIMEOUT", json!({}))}]));
    let task = world.task_for("suspend_account", json!({"id": "ann"}));
    let daemon = world.start();
    world.drained().await;
    let log = daemon.stop().await;
    assert_eq!(world.task(&task)["status"], "completed");
    assert!(log.contains("completed, not verified"), "{log}");
}

/// The pace of updates, suspensions and deletions in equal parts, with `tasks.verify` on or off: tasks per second, and look-ups per task.
async fn pace(verify: bool, latency: &str) -> (f64, f64) {
    const TASKS: usize = 4000;
    let world = World::new().await;
    world.configure(&format!(
        "connector = \"simulated\"\nsync = {{ enabled = false }}\n\
         tasks = {{ poll_interval = \"100ms\", concurrency = 32, verify = {verify} }}\n\
         target = {{ accounts = {TASKS}, latency = \"{latency}\" }}\n\n[admin]\nlisten = \"127.0.0.1:0\"\n"
    ));
    // These accounts are new, whatever names the simulated ones have.
    let created = world.sandbox.add_tasks(world.app, (0..TASKS / 4).map(|n| {
        json!({"action": "create_account", "payload": {"account": {"username": format!("new-{n}"), "email": format!("new-{n}@example.org")}}})
    }));
    let daemon = world.start();
    let address = address(&daemon).await;
    world.drained().await;
    let looks_before = lookups(&address).await;
    let began = tokio::time::Instant::now();
    for action in ["update_account", "suspend_account", "delete_account"] {
        world.sandbox.add_tasks(world.app, (0..TASKS / 4).map(|n| {
            let account = json!({"username": format!("new-{n}")});
            json!({"action": action, "payload": {"account": account, "changes": {"display_name": format!("Name {n}")}}})
        }));
    }
    while world.tasks_that_are("pending") > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let took = began.elapsed().as_secs_f64();
    let looks = lookups(&address).await - looks_before;
    daemon.stop().await;
    assert_eq!(world.tasks_that_are("completed"), TASKS, "{:?}", world.task(&created[0]));
    let tasks = (TASKS * 3 / 4) as f64;
    (tasks / took, looks / tasks)
}

async fn lookups(address: &str) -> f64 {
    let metrics = get(address, "/metrics").await.body;
    let lines = metrics.lines().filter(|line| line.starts_with("bridgehead_task_lookups_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// `cargo nextest run --release -p bridgehead --test daemon --run-ignored only --no-capture -E 'test(what_verification_costs)'`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: it prints figures and judges nothing"]
async fn what_verification_costs() {
    for latency in ["0ms", "5ms"] {
        // In both orders, because the first run pays for cold caches.
        let mut sums = [(0.0, 0.0); 2];
        for verify in [false, true, true, false] {
            let (tasks, looks) = pace(verify, latency).await;
            let sum = &mut sums[usize::from(verify)];
            *sum = (sum.0 + tasks / 2.0, sum.1 + looks / 2.0);
        }
        let [(without, looks_without), (with, looks_with)] = sums;
        println!(
            "target latency {latency}: {without:.0} tasks/s and {looks_without:.2} look-ups a task without, \
             {with:.0} and {looks_with:.2} with ({:.2} of the pace)",
            with / without
        );
    }
}
