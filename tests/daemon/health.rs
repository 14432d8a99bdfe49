//! Health means progress: whatever blocks work shows up in every interface alike.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use serde_json::{Value, json};

use crate::admin::{ADMIN, address, get, kinds, status, told};
use crate::support::{KEY, World, eventually};
use crate::target::QUICK;

/// Limits the size of files that a running daemon may write, which has the effect of a full disk.
fn limit_files(pid: u32, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").arg("--pid").arg(pid.to_string()).arg(limit).status();
    assert!(status.expect("prlimit runs").success());
}

#[tokio::test]
async fn full_disk_raises_an_alarm_that_clears_with_free_space() {
    let world = World::new().await;
    world.script(QUICK, ADMIN);
    let before = world.task_for("create_account", json!("ann"));
    // Unlike a full disk, the limit also sends a signal (SIGXFSZ), which must not end the daemon.
    let daemon = world.start();
    let here = address(&daemon).await;
    eventually("the first task is done", || world.task(&before)["status"] == "completed").await;
    limit_files(daemon.pid(), "1");
    let task = world.task_for("create_account", json!("bob"));
    let now =
        status(&here, "the state cannot be written", |status| kinds(status) == ["state_unwritable"]).await;
    assert_eq!(now["apps"]["hr"]["alarms"][0]["level"], "alarm");
    let metrics = get(&here, "/metrics").await.body;
    assert!(metrics.contains("bridgehead_alarm{app=\"hr\",kind=\"state_unwritable\"} 1.0"), "{metrics}");
    assert!(metrics.contains("bridgehead_state_writable{app=\"hr\"} 0.0"), "{metrics}");
    let page = get(&here, "/").await.body;
    assert!(page.contains("Action required") && page.contains("State cannot be written"), "{page}");
    let (code, text) = told(&world, &here, &[]).await;
    assert!(code == Some(1) && text.contains("ALARM  hr: state cannot be written"), "{text}");
    assert_eq!(get(&here, "/healthz").await.status, 200, "a restart would not make room");
    assert_eq!(world.attempts(&task), [0; 0], "nothing is executed");
    limit_files(daemon.pid(), "unlimited");
    eventually("the task is done", || world.task(&task)["status"] == "completed").await;
    status(&here, "all is well", |status| kinds(status) == [""; 0]).await;
    let (code, text) = told(&world, &here, &[]).await;
    assert_eq!(code, Some(0), "{text}");
    daemon.stop().await;
}

#[tokio::test]
async fn hanging_target_holds_tasks_and_fails_none() {
    let world = World::new().await;
    world.script(
        "poll_interval = \"100ms\"\ntimeout = \"500ms\"\ngive_up_after = \"4s\"\nhold_for = \"1h\"\n",
        ADMIN,
    );
    world.account(&json!({"id": "u1", "username": "ann", "status": "active"}));
    let hangs = |method: &str| json!({"method": method, "hang": 3600, "apply": false});
    world.rules(&json!([hangs("suspend_account"), hangs("find_account"), hangs("check")]));
    let task = world.task_for("suspend_account", json!({"id": "u1"}));
    let daemon = world.start();
    let here = address(&daemon).await;
    let now = status(&here, "tasks are held", |status| !status["apps"]["hr"]["held"].is_null()).await;
    assert_eq!(now["apps"]["hr"]["held"]["code"], "TIMEOUT");
    assert_eq!(kinds(&now), ["target_unreachable"]);
    let (code, text) = told(&world, &here, &[]).await;
    assert!(code == Some(1) && text.contains("unreachable"), "{text}");
    // Longer than the daemon would retry if the target responded.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(world.task(&task)["status"], "pending");
    world.rules(&json!([]));
    world.drained().await;
    assert_eq!(world.task(&task)["status"], "completed");
    daemon.stop().await;
}

#[tokio::test]
async fn single_unresponsive_account_does_not_hold_others() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"2s\"\ngive_up_after = \"9s\"\n", "");
    world.account(&json!({"id": "u1", "username": "ann", "status": "active"}));
    world.rules(&json!([
        {"method": "suspend_account", "account": "u1", "hang": 3600, "apply": false},
        {"method": "find_account", "account": "u1", "hang": 3600}
    ]));
    let task = world.task_for("suspend_account", json!({"id": "u1"}));
    let daemon = world.start();
    daemon.says("the target passes a check").await;
    let other = world.task_for("create_account", json!("bob"));
    eventually("another account is served", || world.task(&other)["status"] == "completed").await;
    world.drained().await;
    assert_eq!(world.code(&task), "TIMEOUT");
    let log = daemon.stop().await;
    assert!(!log.contains("tasks are held"), "{log}");
}

#[tokio::test]
async fn repeatedly_retried_task_is_shown_with_its_reason() {
    let world = World::new().await;
    world.script(QUICK, ADMIN);
    let error = json!({"message": "HR asks ann, whose password is s3cr3t-of-ann, to slow down", "data": {"code": "RATE_LIMITED", "effect": "not_applied", "retry": "backoff"}});
    world.rules(&json!([{"method": "create_account", "error": error}]));
    let task = world.task_for("create_account", json!({"username": "ann", "password": "s3cr3t-of-ann"}));
    let daemon = world.start();
    let here = address(&daemon).await;
    let now = status(&here, "it is an alarm", |status| {
        kinds(status) == ["task_retrying"] && status["apps"]["hr"]["alarms"][0]["level"] == "alarm"
    })
    .await;
    let tasks = &now["apps"]["hr"]["tasks"];
    assert_eq!(tasks["attempts_total"], 1);
    let shown = &tasks["attempts"][0];
    assert_eq!(
        (&shown["task"], &shown["action"], &shown["code"]),
        (&json!(task), &json!("create_account"), &json!("RATE_LIMITED"))
    );
    assert!(shown["attempts"].as_u64() >= Some(5), "{shown}");
    assert!(shown["reason"].as_str().expect("a reason").contains("[redacted]"), "{shown}");
    let page = get(&here, "/").await.body;
    let (code, text) = told(&world, &here, &[]).await;
    assert!(code == Some(1) && text.contains(&task) && text.contains("RATE_LIMITED, HR asks ann"), "{text}");
    assert!(page.contains("Action required") && page.contains("RATE_LIMITED, HR asks ann"), "{page}");
    assert!(!format!("{now}{page}{text}").contains("s3cr3t-of-ann"), "{text}");
    world.rules(&json!([]));
    world.drained().await;
    status(&here, "all is well", |status| kinds(status) == [""; 0]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn systemd_status_follows_daemon_health() {
    let world = World::new().await;
    world.script("poll_interval = \"200ms\"\n", ADMIN);
    let socket = world.path("notify");
    let heard = UnixDatagram::bind(&socket).expect("a socket");
    heard.set_nonblocking(true).expect("it can be");
    let mut said = String::new();
    let mut hear = || {
        let mut message = [0; 4096];
        while let Ok(length) = heard.recv(&mut message) {
            said.push_str(&String::from_utf8_lossy(&message[..length]));
            said.push('\n');
        }
        said.clone()
    };
    let socket = socket.to_str().expect("text").to_owned();
    let daemon = world.start_with(&[("NOTIFY_SOCKET", socket.as_str())]);
    let here = address(&daemon).await;
    eventually("it is ready", || hear().contains("READY=1")).await;
    assert!(hear().contains("STATUS=connected to the Bridge\n"), "{}", hear());
    world.sandbox.revoke_key("default").expect("the key is there");
    eventually("the refusal is told", || hear().contains("STATUS=action required: hr: access refused; "))
        .await;
    let ready = get(&here, "/readyz").await;
    assert_eq!(ready.status, 200, "it was reached once: {}", ready.body);
    assert!(ready.body.contains("is currently unavailable for hr"), "{}", ready.body);
    daemon.stop().await;
    assert!(hear().contains("STOPPING=1") && !hear().contains(KEY));
}

#[tokio::test]
async fn oversized_task_pages_are_split_and_one_oversized_task_fails() {
    let world = World::new().await;
    world.script("poll_interval = \"1s\"\n", ADMIN);
    let photo = |megabytes: usize| "x".repeat(megabytes * 1024 * 1024);
    let add = |account: &str, megabytes| {
        let account = json!({"username": account, "photo": photo(megabytes)});
        world
            .sandbox
            .add_task(world.app, json!({"action": "create_account", "payload": {"account": account}}))
    };
    let good = [add("ann", 6), add("bob", 6), add("eve", 6)];
    let huge = add("max", 17);
    let after = world.task_for("create_account", json!("zoe"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for task in good.iter().chain([&after]) {
        assert_eq!(world.task(task)["status"], "completed");
    }
    assert_eq!(world.code(&huge), "INTERNAL_ERROR");
    assert!(world.message(&huge).contains("larger than bridgehead can read"), "{}", world.message(&huge));
    assert_eq!(world.attempts(&huge), [0; 0]);
}

#[tokio::test]
async fn idle_connections_do_not_block_health_checks() {
    let world = World::new().await;
    world.script("poll_interval = \"1s\"\n", ADMIN);
    let daemon = world.start();
    let here = address(&daemon).await;
    let mut idle = Vec::new();
    for n in 0..200 {
        let mut stream = tokio::net::TcpStream::connect(&here).await.expect("it listens");
        if n % 2 == 0 {
            use tokio::io::AsyncWriteExt;
            // The server may have closed it already.
            drop(stream.write_all(b"GET /healthz HT").await);
        }
        idle.push(stream);
    }
    let asked = Instant::now();
    assert_eq!(get(&here, "/healthz").await.status, 200);
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "none of them had to time out first: {:?}",
        asked.elapsed()
    );
    drop(idle);
    daemon.stop().await;
}

#[tokio::test]
async fn wrong_clock_starts_no_task_years_early_or_late() {
    let years = |years: i64| (years * 365 * 86_400).to_string();
    for (ahead, after, is_due) in
        [(years(70), "2090-01-01T00:00:00Z", false), (years(-20), "2020-01-01T00:00:00Z", true)]
    {
        let world = World::new().await;
        world.script("poll_interval = \"100ms\"\n", ADMIN);
        let task = world.sandbox.add_task(
            world.app,
            json!({"action": "create_account", "status": "pending", "execute_after": after, "payload": {"account": {"username": "ann"}}}),
        );
        let daemon = world.start_with(&[("BRIDGEHEAD_TEST_CLOCK_AHEAD", &ahead)]);
        let here = address(&daemon).await;
        if is_due {
            eventually("it is done", || world.task(&task)["status"] == "completed").await;
        } else {
            let known = |status: &Value| status["apps"]["hr"]["tasks"]["not_due"] == 1;
            status(&here, "it is counted", known).await;
            assert_eq!(world.attempts(&task), [0; 0]);
        }
        daemon.stop().await;
    }
}

#[tokio::test]
async fn pending_task_waits_for_its_time_and_blocks_no_other() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\n", ADMIN);
    let task = |name: &str, after: jiff::Timestamp| {
        let task = json!({"action": "create_account", "status": "pending", "execute_after": after.to_string(),
            "payload": {"account": {"username": name}}});
        world.sandbox.add_task(world.app, task)
    };
    let now = jiff::Timestamp::now();
    // Iden lists it as pending, so it is due by Iden's clock.
    let soon = task("ann", now.checked_add(jiff::SignedDuration::from_hours(1)).expect("a time"));
    let late = task("bob", "2090-01-01T00:00:00Z".parse().expect("a time"));
    let same = world.task_for("create_account", json!({"username": "bob", "id": "b"}));
    let daemon = world.start();
    let here = address(&daemon).await;
    eventually("the other task of the account is done", || world.task(&same)["status"] == "completed").await;
    assert_eq!(world.task(&late)["status"], "pending");
    eventually("Iden's clock counts", || world.task(&soon)["status"] == "completed").await;
    assert_eq!(world.attempts(&late), [0; 0]);
    let seen: Value =
        status(&here, "it is counted", |status| status["apps"]["hr"]["tasks"]["not_due"] == 1).await;
    assert_eq!(kinds(&seen), [""; 0]);
    daemon.stop().await;
}
