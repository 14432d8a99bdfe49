//! A changed configuration is applied app by app while the daemon runs.

use std::os::unix::net::UnixDatagram;
use std::process::Output;

use bridgehead::sandbox::NewKey;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Daemon, KEY, World, eventually};
use crate::target::QUICK;

const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";
const TOKEN: &str = "token-that-must-never-leak-0815";

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A second app next to `hr`, with a simulated target.
struct Other(Uuid);

impl Other {
    fn new(world: &World) -> Self {
        let app = Uuid::new_v4();
        world.sandbox.add_app(app, "CRM");
        Self(app)
    }

    fn table(&self, name: &str, sync: &str, target: &str) -> String {
        format!(
            "[apps.{name}]\napp_id = \"{}\"\nconnector = \"simulated\"\nsync = {{ {sync} }}\n\
             tasks = {{ poll_interval = \"100ms\" }}\n[apps.{name}.target]\n{target}\n",
            self.0
        )
    }

    fn quiet(&self, name: &str) -> String {
        self.table(name, "enabled = false", "accounts = 3")
    }

    fn asked(&self, world: &World, what: &str) -> usize {
        let ledger = world.sandbox.ledger();
        ledger.iter().filter(|entry| entry.app_id == Some(self.0) && entry.path.ends_with(what)).count()
    }
}

fn change(world: &World, old: &str, new: &str) {
    let text = world.read("bridgehead.toml");
    assert!(text.contains(old), "{text}");
    world.write("bridgehead.toml", &text.replace(old, new));
}

async fn reload(world: &World) -> (Option<i32>, Value) {
    let output = world.run(&["reload", "--json"]).await;
    let said = format!("{}{}", stdout(&output), stderr(&output));
    assert!(!said.contains(KEY) && !said.contains(TOKEN), "{said}");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
}

fn results(reloaded: &Value) -> Vec<(String, String)> {
    let apps = reloaded["apps"].as_object().expect("apps");
    apps.iter()
        .map(|(name, app)| (name.clone(), app["result"].as_str().expect("a result").to_owned()))
        .collect()
}

fn expected(results: &[(&str, &str)]) -> Vec<(String, String)> {
    results.iter().map(|(name, result)| ((*name).to_owned(), (*result).to_owned())).collect()
}

async fn status(world: &World) -> Value {
    let output = world.run(&["status", "--json"]).await;
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn two_apps(more: &str) -> (World, Other, Daemon) {
    let world = World::new().await;
    let crm = Other::new(&world);
    world.script(QUICK, &format!("{}{more}", crm.quiet("crm")));
    let daemon = world.start();
    daemon.says("ready").await;
    (world, crm, daemon)
}

#[tokio::test]
async fn reload_restarts_only_changed_apps() {
    let (world, _, daemon) = two_apps(ADMIN).await;
    world.rules(&json!([{"method": "create_account", "account": "bob", "hang_until": "go"}]));
    let ann = world.task_for("create_account", json!("ann"));
    eventually("ann is done", || world.task(&ann)["status"] == "completed").await;
    // The scripted app has a task in progress, and is the one that does not change.
    let bob = world.task_for("create_account", json!("bob"));
    eventually("bob is in progress", || world.called("create_account", "bob") == 1).await;
    let (before, pid) = (status(&world).await, world.pid_of_target());

    change(&world, "accounts = 3", "accounts = 4");
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("crm", "changed"), ("hr", "unchanged")])));
    let changes = json!([{"key": "apps.crm.target.accounts", "old": "3", "new": "4"}]);
    assert_eq!(reloaded["apps"]["crm"]["changes"], changes, "{reloaded:#}");
    let after = status(&world).await;
    assert_eq!(after["daemon"]["pid"], before["daemon"]["pid"]);
    let since = |status: &Value, app: &str| status["apps"][app]["running_since"].clone();
    assert_eq!(since(&before, "hr"), since(&after, "hr"));
    assert_ne!(since(&before, "crm"), since(&after, "crm"));
    // Its counters and its running task continue, and the connector process is the same.
    assert_eq!(after["apps"]["hr"]["tasks"]["counts"]["completed"], 1, "{after:#}");
    world.write("target/go", "");
    world.drained().await;
    assert_eq!((world.attempts(&bob), world.applied(&bob), world.pid_of_target()), (vec![1], 1, pid));
    let log = daemon.stop().await;
    assert!(!log.contains("the app ends for a reload; what runs may finish app=hr"), "{log}");
}

#[tokio::test]
async fn a_pause_outlives_a_reload_and_a_restart_whatever_has_changed() {
    let (world, _, daemon) = two_apps("").await;
    for app in ["hr", "crm"] {
        let paused = world.run(&["apps", "pause", app, "--reason", "migration"]).await;
        assert_eq!(paused.status.code(), Some(0), "{paused:?}");
    }
    let task = world.task_for("create_account", json!("ann"));
    // One of them starts over, the other is not touched.
    change(&world, "accounts = 3", "accounts = 4");
    let (code, reloaded) = reload(&world).await;
    assert_eq!(code, Some(0), "{reloaded:#}");
    assert_eq!(results(&reloaded), expected(&[("crm", "changed"), ("hr", "unchanged")]));
    let paused = async |world: &World| {
        let status = status(world).await;
        ["hr", "crm"].map(|app| status["apps"][app]["paused"]["reason"].clone())
    };
    assert_eq!(paused(&world).await, [json!("migration"), json!("migration")]);
    let refused = world.run(&["sync", "crm"]).await;
    assert!(stderr(&refused).contains("crm is paused"), "{refused:?}");
    daemon.stop().await;

    let daemon = world.start();
    daemon.says("ready").await;
    assert_eq!(paused(&world).await, [json!("migration"), json!("migration")]);
    assert_eq!(world.task(&task)["status"], "pending");
    assert!(world.run(&["apps", "resume", "hr"]).await.status.success());
    world.drained().await;
    assert_eq!(world.task(&task)["status"], "completed");
    assert!(status(&world).await["apps"]["crm"]["paused"].is_object(), "one does not resume the other");
    daemon.stop().await;
}

#[tokio::test]
async fn reload_leaves_unchanged_apps_running() {
    let (world, crm, daemon) = two_apps("").await;
    let before = status(&world).await;
    let asked = crm.asked(&world, "/tasks/");
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("crm", "unchanged"), ("hr", "unchanged")])));
    // A key of the daemon itself applies immediately, and affects no app.
    let text = world.read("bridgehead.toml");
    world.write("bridgehead.toml", &format!("{text}[runtime]\nshutdown_grace = \"7s\"\n"));
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("crm", "unchanged"), ("hr", "unchanged")])));
    assert_eq!(reloaded["daemon"][0]["key"], "runtime.shutdown_grace", "{reloaded:#}");
    let after = status(&world).await;
    for app in ["crm", "hr"] {
        assert_eq!(before["apps"][app]["running_since"], after["apps"][app]["running_since"]);
    }
    eventually("it continues asking for tasks", || crm.asked(&world, "/tasks/") > asked).await;
    // A key that concerns all apps restarts all of them.
    change(&world, "[bridge]\n", "[bridge]\nrequest_timeout = \"29s\"\n");
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("crm", "changed"), ("hr", "changed")])));
    let task = world.task_for("create_account", json!("ann"));
    world.drained().await;
    assert_eq!(world.applied(&task), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn reload_finishes_running_tasks_and_keeps_the_order() {
    let world = World::new().await;
    world.script(&format!("{QUICK}concurrency = 2\n"), "");
    world.rules(&json!([{"method": "create_account", "hang_until": "go"}]));
    let tasks: Vec<String> =
        (0..6).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    let behind = world.task_for("suspend_account", json!("user-0"));
    let daemon = world.start();
    let begun = || tasks.iter().filter(|task| world.attempts(task).len() == 1).count();
    eventually("two are in progress", || begun() == 2).await;
    change(&world, "concurrency = 2", "concurrency = 3");
    let mut command = world.command(&["reload"]);
    let reloading = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
    daemon.says("the app ends for a reload").await;
    world.write("target/go", "");
    let reloaded = reloading.await.expect("it ends");
    assert_eq!(reloaded.status.code(), Some(0), "{reloaded:?}");
    assert!(stdout(&reloaded).contains("hr: changed\n  apps.hr.tasks.concurrency: 2 → 3"), "{reloaded:?}");
    world.drained().await;
    daemon.stop().await;
    for task in tasks.iter().chain([&behind]) {
        assert_eq!((world.attempts(task), world.applied(task)), (vec![1], 1));
        assert_eq!((world.task(task)["status"].as_str(), world.reported(task).len()), (Some("completed"), 1));
    }
    // They were executed in the order in which Iden created them, for each account.
    let order: Vec<String> =
        world.calls().into_iter().filter(|line| line.event == "applied").map(|line| line.task).collect();
    let place = |task: &String| order.iter().position(|one| one == task);
    assert!(place(&tasks[0]) < place(&behind), "{order:?}");
}

#[tokio::test]
async fn reload_interrupts_slow_tasks_after_grace_and_verifies_them() {
    let world = World::new().await;
    let tasks = "poll_interval = \"100ms\"\ntimeout = \"20s\"\n";
    world.script(tasks, "[runtime]\nshutdown_grace = \"300ms\"");
    world.rules(&json!([{"attempt": 1, "apply": true, "hang_until": "never"}]));
    let create = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    eventually("it is done", || world.applied(&create) == 1).await;
    change(&world, "timeout = \"20s\"", "timeout = \"19s\"");
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("hr", "changed")])));
    let detail = reloaded["apps"]["hr"]["detail"].as_str().expect("a detail");
    assert!(detail.contains("was cut off"), "{detail}");
    world.drained().await;
    daemon.stop().await;
    assert_eq!((world.attempts(&create), world.applied(&create)), (vec![1], 1));
    assert_eq!(world.task(&create)["result"], json!({"account_id": "ann"}));
}

#[tokio::test]
async fn reload_restarts_only_the_syncs_of_changed_apps() {
    let world = World::new().await;
    let (crm, erp) = (Other::new(&world), Other::new(&world));
    let slow = "accounts = 600\npage_size = 20\nlatency = \"50ms\"";
    world.script(QUICK, &format!("{}{}", crm.table("crm", "", slow), erp.table("erp", "", slow)));
    let daemon = world.start();
    eventually("both syncs push", || {
        let pushes = |app: Uuid| {
            world.sandbox.ledger().iter().any(|one| one.method == "PUT" && one.app_id == Some(app))
        };
        pushes(crm.0) && pushes(erp.0)
    })
    .await;
    let text = world.read("bridgehead.toml");
    let (before, after) = text.split_once("[apps.erp]").expect("the last one");
    world.write("bridgehead.toml", &format!("{before}[apps.erp]{}", after.replace("50ms", "20ms")));
    let (code, reloaded) = reload(&world).await;
    assert_eq!(code, Some(0), "{reloaded:#}");
    assert_eq!(
        results(&reloaded),
        expected(&[("crm", "unchanged"), ("erp", "changed"), ("hr", "unchanged")])
    );
    eventually("both are complete", || [&crm, &erp].iter().all(|app| app.asked(&world, "/complete/") == 1))
        .await;
    eventually("all are there", || {
        [&crm, &erp].iter().all(|app| world.sandbox.records(app.0, "account").len() == 600)
    })
    .await;
    assert_eq!((crm.asked(&world, "/abandon/"), erp.asked(&world, "/abandon/")), (0, 1), "{}", daemon.log());
    daemon.stop().await;
}

#[tokio::test]
async fn reload_adds_removes_and_renames_apps_while_others_run() {
    let (world, crm, daemon) = two_apps("").await;
    let text = world.read("bridgehead.toml");
    let (without, _) = text.split_once("[apps.crm]").expect("it is the last one");
    world.write("bridgehead.toml", without);
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("crm", "removed"), ("hr", "unchanged")])));
    let now = status(&world).await;
    assert_eq!(now["apps"].as_object().expect("apps").keys().collect::<Vec<_>>(), ["hr"]);
    daemon.says("the app was removed").await;
    let asked = crm.asked(&world, "/tasks/");

    let erp = Other::new(&world);
    world.write("bridgehead.toml", &format!("{without}{}", erp.quiet("erp")));
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("erp", "added"), ("hr", "unchanged")])));
    eventually("the new one asks for tasks", || erp.asked(&world, "/tasks/") > 0).await;
    assert_eq!(crm.asked(&world, "/tasks/"), asked, "an app that was removed asks for nothing");

    // The name is given to another app, and the identity to a third.
    world.write("bridgehead.toml", &format!("{without}{}{}", crm.quiet("erp"), erp.quiet("sales")));
    let (code, reloaded) = reload(&world).await;
    assert_eq!(code, Some(0), "{reloaded:#}");
    assert_eq!(results(&reloaded), expected(&[("erp", "changed"), ("hr", "unchanged"), ("sales", "added")]));
    let counted = (crm.asked(&world, "/tasks/"), erp.asked(&world, "/tasks/"));
    eventually("both ask for tasks", || {
        crm.asked(&world, "/tasks/") > counted.0 && erp.asked(&world, "/tasks/") > counted.1
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn reload_of_an_invalid_file_changes_nothing_and_explains() {
    let (world, _, daemon) = two_apps("").await;
    let good = world.read("bridgehead.toml");
    for (bad, why) in [
        (
            good.replace("connector = \"simulated\"", "connector = \"simulated\"\nconnektor = \"x\""),
            "connektor",
        ),
        (good.replace("[bridge]", "[bridge"), "not valid TOML"),
        (good.replace("IDEN_API_KEY", "NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE"),
    ] {
        // The valid changes in the file are not applied either.
        world.write("bridgehead.toml", &bad.replace("100ms", "200ms"));
        let before = daemon.log().matches("the configuration is not reloaded").count();
        daemon.signal("HUP").await;
        eventually("the log says why", || {
            let log = daemon.log();
            log.matches("the configuration is not reloaded").count() > before && log.contains(why)
        })
        .await;
        let refused = world.run(&["reload"]).await;
        assert_eq!(refused.status.code(), Some(78), "{refused:?}");
        assert!(stderr(&refused).contains(why), "{refused:?}");
        assert!(stderr(&refused).contains("bridgehead.toml") || why == "NO_SUCH_VARIABLE", "{refused:?}");
    }
    world.write("bridgehead.toml", &good.replace("connector = \"simulated\"", "connector = \"simulatd\""));
    daemon.signal("HUP").await;
    daemon.says("apps.crm.connector").await;
    let shown = world.run(&["status"]).await;
    assert_eq!(shown.status.code(), Some(78), "the command has the same file: {shown:?}");
    assert!(
        stdout(&shown).contains("Last reload") && stdout(&shown).contains("apps.crm.connector"),
        "{shown:?}"
    );

    world.write("bridgehead.toml", &good);
    let now = status(&world).await;
    assert_eq!(now["daemon"]["last_reload"]["applied"], false);
    for app in ["hr", "crm"] {
        assert_eq!(now["apps"][app]["tasks"]["poll_interval_ms"], 100);
    }
    let task = world.task_for("create_account", json!("ann"));
    world.drained().await;
    assert_eq!(world.applied(&task), 1);
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("crm", "unchanged"), ("hr", "unchanged")])));
    let shown = world.run(&["status"]).await;
    assert!(shown.status.success() && !stdout(&shown).contains("Last reload"), "{shown:?}");
    assert!(!daemon.stop().await.contains("the app ends for a reload"));
}

#[tokio::test]
async fn app_that_fails_to_reload_keeps_running_unchanged() {
    let (world, crm, daemon) = two_apps("").await;
    let before = status(&world).await;
    change(&world, "accounts = 3", "error_rate = 7.5");
    change(&world, "timeout = \"5s\"", "timeout = \"6s\"");
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(1), expected(&[("crm", "failed"), ("hr", "changed")])));
    let why = reloaded["apps"]["crm"]["detail"].as_str().expect("why");
    assert!(
        why.contains("apps.crm.target.error_rate") && why.contains("continues with the settings that it has"),
        "{why}"
    );
    let now = status(&world).await;
    assert_eq!(before["apps"]["crm"]["running_since"], now["apps"]["crm"]["running_since"]);
    assert_ne!(before["apps"]["hr"]["running_since"], now["apps"]["hr"]["running_since"]);
    let asked = crm.asked(&world, "/tasks/");
    eventually("it continues", || crm.asked(&world, "/tasks/") > asked).await;
    assert!(now["daemon"]["last_reload"]["message"].as_str().expect("why").contains("error_rate"), "{now:#}");

    // While it still runs with its identity, no other app can have that identity.
    let text = world.read("bridgehead.toml");
    let id = crm.0.to_string();
    let moved = text.replace(&id, &Uuid::new_v4().to_string());
    world.write("bridgehead.toml", &format!("{moved}{}", crm.quiet("erp")));
    let (code, reloaded) = reload(&world).await;
    assert_eq!(code, Some(1));
    assert_eq!(results(&reloaded), expected(&[("crm", "failed"), ("erp", "failed"), ("hr", "unchanged")]));
    assert!(
        reloaded["apps"]["erp"]["detail"].as_str().expect("why").contains("'crm' continues"),
        "{reloaded:#}"
    );
    world.write("bridgehead.toml", &text.replace("error_rate = 7.5", "accounts = 5"));
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("crm", "changed"), ("hr", "unchanged")])));
    daemon.stop().await;
}

#[tokio::test]
async fn concurrent_reloads_equal_one() {
    let (world, _, daemon) = two_apps("").await;
    change(&world, "accounts = 3", "accounts = 4");
    let (one, two) = tokio::join!(reload(&world), reload(&world));
    let mut crm: Vec<Value> =
        [&one.1, &two.1].map(|reloaded| reloaded["apps"]["crm"]["result"].clone()).into();
    crm.sort_by_key(Value::to_string);
    assert_eq!((one.0, two.0, crm), (Some(0), Some(0), vec![json!("changed"), json!("unchanged")]));

    let tasks: Vec<String> =
        (0..20).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    for round in 0..100 {
        if round % 20 == 10 {
            change(
                &world,
                &format!("timeout = \"{}s\"", 5 + round / 20),
                &format!("timeout = \"{}s\"", 6 + round / 20),
            );
        }
        daemon.signal("HUP").await;
    }
    world.drained().await;
    let (code, reloaded) = reload(&world).await;
    assert_eq!(code, Some(0), "{reloaded:#}");
    for task in &tasks {
        assert_eq!((world.applied(task), world.task(task)["status"].as_str()), (1, Some("completed")));
    }
    let (_, again) = reload(&world).await;
    assert_eq!(results(&again), expected(&[("crm", "unchanged"), ("hr", "unchanged")]));
    daemon.stop().await;
}

#[tokio::test]
async fn reload_picks_up_rotated_secrets() {
    let world = World::new().await;
    let crm = Other::new(&world);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/connectors/target.py");
    world.script(QUICK, &crm.quiet("crm"));
    let program = format!("command = [\"python3\", \"-S\", {script:?}]");
    let noted = format!(
        "command = [\"sh\", \"-c\", 'printf %s \"$TOKEN\" > seen; exec python3 -S \"$0\"', {script:?}]\nenv = {{ TOKEN = {{ file = \"token\" }} }}"
    );
    change(&world, &program, &noted);
    change(&world, "{ env = \"IDEN_API_KEY\" }", "{ file = \"key\" }");
    world.write("token", "token-number-one-4711");
    world.write("key", KEY);
    let daemon = world.start();
    daemon.says("ready").await;
    let ann = world.task_for("create_account", json!("ann"));
    eventually("ann is done", || world.task(&ann)["status"] == "completed").await;
    assert_eq!(world.read("seen"), "token-number-one-4711");

    world.write("token", TOKEN);
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("crm", "unchanged"), ("hr", "changed")])));
    assert_eq!(
        reloaded["apps"]["hr"]["changes"],
        json!([{"key": "apps.hr.target.env.TOKEN", "content": true}])
    );
    let bob = world.task_for("create_account", json!("bob"));
    eventually("bob is done", || world.task(&bob)["status"] == "completed").await;
    assert_eq!(world.read("seen"), TOKEN);

    // The API key is read again without touching an app, before the old one is rejected.
    let new = NewKey { name: "new".into(), key: "key-number-two-4711".into(), apps: None, expires_in: None };
    world.sandbox.add_key(new).expect("a key");
    world.write("key", "key-number-two-4711");
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(0), expected(&[("crm", "unchanged"), ("hr", "unchanged")])));
    assert_eq!(reloaded["daemon"], json!([{"key": "bridge.api_key", "content": true}]), "{reloaded:#}");
    let last = world.sandbox.ledger().last().expect("requests").sequence;
    world.sandbox.revoke_key("default").expect("the old key");
    let eve = world.task_for("create_account", json!("eve"));
    eventually("eve is done", || world.task(&eve)["status"] == "completed").await;
    let refused = |entry: &bridgehead::sandbox::Entry| entry.sequence > last + 4 && entry.status == Some(401);
    assert!(!world.sandbox.ledger().iter().any(refused));

    // A missing secret only prevents the reload of its app; the app keeps running.
    std::fs::remove_file(world.path("token")).expect("it was there");
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, results(&reloaded)), (Some(1), expected(&[("crm", "unchanged"), ("hr", "failed")])));
    let log = daemon.stop().await;
    for secret in [TOKEN, "token-number-one-4711", KEY, "key-number-two-4711"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn check_diff_shows_what_a_reload_would_do() {
    let (world, _, daemon) = two_apps(ADMIN).await;
    let before = status(&world).await;
    change(&world, "accounts = 3", "accounts = 4");
    change(&world, "path = \"state\"", "path = \"state\"\n[log]\nformat = \"json\"\nlevel = \"info\"");
    let shown = world.run(&["check", "--diff"]).await;
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    assert_eq!(
        stdout(&shown),
        "crm: would be changed\n  apps.crm.target.accounts: 3 → 4\nhr: unchanged\nneeds a restart:\n  log.format: \"text\" → \"json\"\n"
    );
    assert_eq!(status(&world).await["apps"]["crm"]["running_since"], before["apps"]["crm"]["running_since"]);
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, &reloaded["needs_restart"][0]["key"]), (Some(0), &json!("log.format")), "{reloaded:#}");
    assert_eq!(reloaded["apps"]["crm"]["result"], "changed");
    // As long as the files differ from the running configuration, the status says so.
    let now = status(&world).await;
    assert!(
        now["daemon"]["last_reload"]["message"].as_str().expect("it").contains("needs a restart: log.format"),
        "{now:#}"
    );
    daemon.says("needs a restart: log.format").await;

    change(&world, "apps.hr.tasks", "apps.hr.taks");
    let shown = world.run(&["check", "--diff"]).await;
    assert_eq!(shown.status.code(), Some(78), "{shown:?}");
    assert!(stderr(&shown).contains("taks"), "{shown:?}");
    daemon.stop().await;
    let alone = world.run(&["reload"]).await;
    assert_eq!(alone.status.code(), Some(78), "what is wrong comes first: {alone:?}");
    change(&world, "apps.hr.taks", "apps.hr.tasks");
    let alone = world.run(&["reload"]).await;
    assert_eq!(alone.status.code(), Some(75), "{alone:?}");
    assert!(stderr(&alone).contains("No daemon listens"), "{alone:?}");
}

#[tokio::test]
async fn systemd_is_notified_of_reload_start_and_end() {
    let world = World::new().await;
    world.script(QUICK, "");
    let socket = world.path("notify");
    let heard = UnixDatagram::bind(&socket).expect("a socket");
    heard.set_nonblocking(true).expect("it can be");
    let mut said: Vec<String> = Vec::new();
    let mut hear = || {
        let mut message = [0; 4096];
        while let Ok(length) = heard.recv(&mut message) {
            said.push(String::from_utf8_lossy(&message[..length]).into_owned());
        }
        said.clone()
    };
    let socket = socket.to_str().expect("text").to_owned();
    let daemon = world.start_with(&[("NOTIFY_SOCKET", socket.as_str())]);
    eventually("it is ready", || hear().iter().any(|message| message.contains("READY=1"))).await;
    change(&world, "timeout = \"5s\"", "timeout = \"soon\"");
    daemon.signal("HUP").await;
    let mut ends = || {
        let all = hear();
        let begun = all.iter().position(|message| message.contains("RELOADING=1"))?;
        let ended = all.iter().skip(begun).find(|message| message.contains("READY=1"))?;
        Some((all[begun].clone(), ended.clone()))
    };
    eventually("the reload has ended", || ends().is_some()).await;
    let (begun, ended) = ends().expect("it has");
    let time = begun.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("a time");
    assert!(time.parse::<u64>().expect("microseconds") > 0, "{begun}");
    assert!(
        ended.contains("STATUS=the configuration is not reloaded") && ended.contains("apps.hr.tasks.timeout"),
        "{ended}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn log_level_of_one_app_can_be_raised_temporarily() {
    let (world, _, daemon) = two_apps("[log]\nformat = \"json\"\n").await;
    let lines = |daemon: &Daemon| -> Vec<Value> {
        daemon.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let debug = |daemon: &Daemon| lines(daemon).iter().filter(|line| line["level"] == "DEBUG").count();
    assert_eq!(debug(&daemon), 0, "{}", daemon.log());
    for wrong in [&["hr", "loud"][..], &["hr", "debug", "--for", "2d"], &["hr", "debug", "--for", "0s"]] {
        let refused = world.run(&[&["log-level"], wrong].concat()).await;
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    }
    let unknown = world.run(&["log-level", "nobody", "debug"]).await;
    assert!(!unknown.status.success() && stderr(&unknown).contains("no app named 'nobody'"), "{unknown:?}");

    let more = world.run(&["log-level", "hr", "debug", "--for", "1h"]).await;
    assert_eq!(more.status.code(), Some(0), "{more:?}");
    let task = world.task_for("create_account", json!("ann"));
    world.drained().await;
    let in_task = |line: &Value| {
        let spans = line["spans"].as_array().cloned().unwrap_or_default();
        spans.iter().any(|span| span["name"] == "task" && span["app"] == "hr" && span["task"] == json!(task))
    };
    eventually("a line of the task names it", || lines(&daemon).iter().any(in_task)).await;
    let of_task: Vec<Value> = lines(&daemon).into_iter().filter(in_task).collect();
    assert!(of_task.iter().any(|line| line["spans"][0]["action"] == "create_account"), "{of_task:#?}");
    for line in lines(&daemon).iter().filter(|line| line["level"] == "DEBUG") {
        assert_ne!(line["app"], "crm", "{line:#}");
    }

    let back = world.run(&["log-level", "hr", "default"]).await;
    assert_eq!(back.status.code(), Some(0), "{back:?}");
    daemon.says("as the configuration says").await;
    let short = world.run(&["log-level", "hr", "debug", "--for", "1s", "--json"]).await;
    assert_eq!(short.status.code(), Some(0), "{short:?}");
    daemon.says("as the configuration says again").await;
    // The configured level can be changed, too.
    change(&world, "format = \"json\"", "format = \"json\"\nlevel = \"debug\"");
    let (code, reloaded) = reload(&world).await;
    assert_eq!((code, &reloaded["daemon"][0]["key"]), (Some(0), &json!("log.level")), "{reloaded:#}");
    let before = debug(&daemon);
    let task = world.task_for("create_account", json!("bob"));
    world.drained().await;
    assert_eq!(world.applied(&task), 1);
    eventually("more is logged of everything", || debug(&daemon) > before).await;
    let log = daemon.stop().await;
    assert!(!log.contains("Some(") && !log.contains("TypeSummary"), "{log}");
}
