//! What a running daemon shows: the listener, and `bridgehead status`.

use std::process::Output;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Daemon, KEY, PATIENCE, World};

/// A secret of the target; no page may ever show it.
const SECRET: &str = "target-secret-that-must-never-leak-0815";

pub(crate) const ADMIN: &str = "\n[admin]\nlisten = \"127.0.0.1:0\"\n";

/// A response of the listener.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// The address of the daemon's listener, from its log.
pub(crate) async fn address(daemon: &Daemon) -> String {
    daemon.says("status page: http://").await;
    let log = daemon.log();
    let (_, rest) = log.split_once("status page: http://").expect("it was said");
    rest.split('/').next().expect("an address").to_owned()
}

pub(crate) async fn ask(address: &str, head: &str) -> Answer {
    let exchange = async {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        stream.write_all(format!("{head}\r\n\r\n").as_bytes()).await.expect("it takes the request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("it answers and closes");
        String::from_utf8(answer).expect("text")
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

pub(crate) async fn get(address: &str, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}")).await
}

/// Polls the status until it is as wanted, and returns it.
pub(crate) async fn status(address: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let status = get(address, "/status").await.json();
        if is_so(&status) {
            return status;
        }
        assert!(tokio::time::Instant::now() < deadline, "this did not happen in time: {what}: {status:#}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

pub(crate) fn kinds(status: &Value) -> Vec<&str> {
    let alarms = status["apps"]["hr"]["alarms"].as_array().expect("alarms");
    alarms.iter().map(|alarm| alarm["kind"].as_str().expect("a kind")).collect()
}

/// Runs `bridgehead status` against the daemon that listens at this address.
pub(crate) async fn told(world: &World, address: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = world.command(&[&["status"], arguments].concat());
    command.env("BRIDGEHEAD__ADMIN__LISTEN", address);
    let output = tokio::task::spawn_blocking(move || command.output().expect("the binary runs"));
    said(&output.await.expect("it was waited for"))
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stderr[..], &output.stdout[..]].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

/// Collects everything that the listener and the command show, and checks that no secret is in it.
async fn holds_no_secret(world: &World, address: &str) -> String {
    let mut all = String::new();
    for path in ["/", "/status", "/status?pretty", "/metrics", "/healthz", "/readyz", "/nowhere"] {
        let answer = get(address, path).await;
        all += &answer.head;
        all += &answer.body;
    }
    all += &told(world, address, &[]).await.1;
    all += &told(world, address, &["--json"]).await.1;
    assert!(!all.contains(KEY) && !all.contains(SECRET), "{all}");
    all
}

fn people(world: &World, count: usize) {
    let rows: Vec<String> = (0..count).map(|n| format!("u{n},u{n}@example.org,user{n},active,t1")).collect();
    world.write("people/accounts.csv", &format!("id,email,username,status,team\n{}\n", rows.join("\n")));
    world.write("people/team.csv", "id,name\nt1,Team One\n");
}

fn configure(world: &World, sync: &str) {
    world.configure(&format!(
        "connector = \"file\"\ntasks = {{ poll_interval = \"200ms\" }}\n[apps.hr.sync]\n{sync}\n\
         [apps.hr.target]\npath = \"people\"\n{ADMIN}"
    ));
}

#[tokio::test]
async fn healthy_daemon_is_reported_healthy_everywhere() {
    let world = World::new().await;
    people(&world, 3);
    configure(&world, "every = \"6h\"");
    let account = json!({"username": "bob", "email": "bob@example.org", "password": SECRET});
    world.sandbox.add_task(world.app, json!({"action": "create_account", "payload": {"account": account}}));
    let daemon = world.start();
    let address = address(&daemon).await;
    world.drained().await;
    daemon.says("sync completed").await;
    let now = status(&address, "all is done", |status| {
        let hr = &status["apps"]["hr"];
        hr["tasks"]["counts"]["completed"] == 1 && hr["sync"]["under_way"].is_null()
    })
    .await;
    let (process, hr) = (&now["daemon"], &now["apps"]["hr"]);
    assert_eq!(process["pid"], daemon.pid());
    assert_eq!(process["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&process["ready"], &process["unhealthy"]), (&json!(true), &Value::Null));
    assert_eq!(hr["app_id"], world.app.to_string());
    assert_eq!((&hr["tasks"]["contact"], &hr["held"]), (&json!("made"), &Value::Null));
    assert_eq!(hr["sync"]["last"]["result"], "completed");
    assert!(hr["sync"]["last"]["resource_types"]["account"]["records"].as_u64() >= Some(3), "{hr:#}");
    assert_eq!(hr["sync"]["recent"][0]["result"], "completed");
    let next: jiff::Timestamp = hr["sync"]["next_due_at"].as_str().expect("a time").parse().expect("a time");
    assert!(next > jiff::Timestamp::now());
    assert_eq!(kinds(&now), [""; 0]);
    status(&address, "the journal knows it", |status| {
        status["apps"]["hr"]["tasks"]["journal"]["ended_accepted"] == 1
    })
    .await;

    let (health, ready) = (get(&address, "/healthz").await, get(&address, "/readyz").await);
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    assert_eq!((ready.status, ready.body.as_str()), (200, "connected to the Bridge\n"));
    let metrics = get(&address, "/metrics").await;
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    for line in [
        "bridgehead_tasks_total{app=\"hr\",outcome=\"completed\",code=\"\"} 1",
        "bridgehead_syncs_total{app=\"hr\",result=\"completed\"} 1",
        "bridgehead_breaker_open{app=\"hr\"} 0.0",
        "bridgehead_execution_seconds_count{app=\"hr\",action=\"create_account\"} 1",
    ] {
        assert!(metrics.body.lines().any(|written| written == line), "{line}: {}", metrics.body);
    }
    assert!(metrics.body.contains("bridgehead_last_successful_sync_timestamp_seconds{app=\"hr\"} 1"));
    let page = get(&address, "/").await;
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(page.body.contains("All good") && page.body.contains(">hr</a></h2>"), "{}", page.body);

    let (code, text) = told(&world, &address, &[]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("All good.") && text.contains("completed"), "{text}");
    let (code, text) = told(&world, &address, &["hr", "--json"]).await;
    assert_eq!(code, Some(0), "{text}");
    let document: Value = serde_json::from_str(&text).expect("JSON and nothing else");
    assert_eq!(document["apps"]["hr"]["tasks"]["counts"]["completed"], 1);
    let (code, text) = told(&world, &address, &["rh"]).await;
    assert!(code == Some(2) && text.contains("did you mean 'hr'?"), "{text}");

    holds_no_secret(&world, &address).await;
    let log = daemon.stop().await;
    assert!(!log.contains(SECRET));
}

#[tokio::test]
async fn only_local_read_requests_are_answered() {
    let world = World::new().await;
    people(&world, 1);
    configure(&world, "enabled = false");
    let daemon = world.start();
    let address = address(&daemon).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        for path in ["/", "/status", "/metrics", "/healthz"] {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0");
            assert_eq!(ask(&address, &head).await.status, 405, "{method} {path}");
        }
    }
    assert_eq!(get(&address, "/etc/passwd").await.status, 404);
    for (host, expected) in [("evil.example", 421), ("localhost", 200), ("127.0.0.1:1", 200)] {
        let answer = ask(&address, &format!("GET /status HTTP/1.1\r\nHost: {host}")).await;
        assert_eq!(answer.status, expected, "{host}");
        assert_eq!(answer.body.contains("\"apps\""), expected == 200, "{host}");
    }
    let huge = "x".repeat(100_000);
    assert_eq!(ask(&address, &format!("GET /{huge} HTTP/1.1\r\nHost: {address}")).await.status / 100, 4);
    assert_eq!(get(&address, "/healthz").await.status, 200, "it is none the worse for it");
    // Idle connections do not prevent the daemon from stopping.
    let _silent = tokio::net::TcpStream::connect(&address).await.expect("it listens");
    daemon.stop().await;
    assert!(tokio::net::TcpStream::connect(&address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn unreachable_target_raises_an_alarm_with_a_redacted_cause() {
    let world = World::new().await;
    world.write("token", SECRET);
    world.write(
        "target.py",
        "import json, sys\n\
         for line in sys.stdin:\n    \
             request = json.loads(line)\n    \
             if request['method'] == 'initialize':\n        \
                 token = request['params']['settings']['token']\n        \
                 answer = {'result': {'name': 't', 'version': '1', 'actions': ['suspend_account'],\n            \
                     'resource_types': [{'slug': 'account', 'name': 'Account', 'type': 'account'}]}}\n    \
             elif request['method'] == 'shutdown':\n        \
                 answer = {'result': {}}\n    \
             else:\n        \
                 answer = {'error': {'code': 1, 'message': 'HR <refuses> the token ' + token,\n            \
                     'data': {'code': 'PERMISSION_DENIED', 'effect': 'not_applied', 'retry': 'backoff', 'subject': 'connection'}}}\n    \
             print(json.dumps({'jsonrpc': '2.0', 'id': request['id'], **answer}), flush=True)\n",
    );
    world.configure(&format!(
        "connector = \"exec\"\ntasks = {{ poll_interval = \"200ms\", hold_for = \"2h\" }}\nsync = {{ every = \"6h\", on_start = false }}\n\
         [apps.hr.target]\ncommand = [\"python3\", \"target.py\"]\nsettings = {{ token = {{ file = \"token\" }} }}\n{ADMIN}"
    ));
    let task = json!({"action": "suspend_account", "payload": {"account": {"id": "u1"}}});
    world.sandbox.add_task(world.app, task);
    let daemon = world.start();
    let address = address(&daemon).await;
    let now = status(&address, "tasks are held", |status| {
        !status["apps"]["hr"]["held"].is_null() && status["apps"]["hr"]["tasks"]["counts"]["under_way"] == 1
    })
    .await;
    let held = &now["apps"]["hr"]["held"];
    assert_eq!(held["code"], "PERMISSION_DENIED");
    assert_eq!(held["hold_for_seconds"], 7200);
    let message = held["message"].as_str().expect("a message");
    assert!(message.contains("HR <refuses> the token [redacted]"), "{message}");
    assert!(kinds(&now).contains(&"target_unreachable"), "{now:#}");
    let page = get(&address, "/").await.body;
    assert!(page.contains("Target unreachable") && page.contains("HR &lt;refuses&gt;"), "{page}");
    assert!(page.contains("Action required") && page.contains("1 held"), "{page}");
    let metrics = get(&address, "/metrics").await.body;
    assert!(metrics.contains("bridgehead_breaker_open{app=\"hr\"} 1.0"), "{metrics}");
    assert!(metrics.contains("bridgehead_alarm{app=\"hr\",kind=\"target_unreachable\"} 1.0"), "{metrics}");
    let (code, text) = told(&world, &address, &[]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("unreachable") && text.contains("fails with PERMISSION_DENIED"), "{text}");
    assert_eq!(get(&address, "/healthz").await.status, 200, "the daemon itself is well");
    holds_no_secret(&world, &address).await;
    daemon.stop().await;
}

#[tokio::test]
async fn refused_key_raises_an_alarm() {
    let world = World::new().await;
    people(&world, 1);
    configure(&world, "enabled = false");
    world.sandbox.revoke_key("default").expect("the key is there");
    let daemon = world.start();
    let address = address(&daemon).await;
    let now = status(&address, "the refusal is seen", |status| {
        status["apps"]["hr"]["access_refused"].is_string()
            && status["apps"]["hr"]["tasks"]["contact"] == "failed"
    })
    .await;
    assert_eq!(kinds(&now), ["access_refused"]);
    let refused = now["apps"]["hr"]["access_refused"].as_str().expect("a cause");
    assert!(refused.contains("401") && refused.contains("Check that the API key"), "{refused}");
    let ready = get(&address, "/readyz").await;
    assert_eq!(ready.status, 503, "Iden was never reached");
    assert!(
        ready.body.starts_with("the Bridge is not available yet for hr (") && ready.body.contains("401"),
        "{}",
        ready.body
    );
    let (code, text) = told(&world, &address, &[]).await;
    assert!(code == Some(1) && text.contains("paused: access refused"), "{text}");
    let all = holds_no_secret(&world, &address).await;
    assert!(all.contains("bridgehead_access_refused{app=\"hr\"} 1.0"));
    daemon.stop().await;
}

#[tokio::test]
async fn alarm_clears_with_its_cause() {
    let world = World::new().await;
    people(&world, 1);
    configure(&world, "enabled = false");
    world.sandbox.deny("default", world.app).expect("the key is there");
    let daemon = world.start();
    let address = address(&daemon).await;
    let now = status(&address, "the refusal is seen", |status| kinds(status) == ["access_refused"]).await;
    assert!(now["apps"]["hr"]["access_refused"].as_str().expect("a cause").contains("403"), "{now:#}");
    world.sandbox.grant("default", world.app).expect("the key is there");
    let now = status(&address, "it is granted", |status| kinds(status) == [""; 0]).await;
    assert_eq!(now["apps"]["hr"]["access_refused"], Value::Null);
    assert_eq!(now["apps"]["hr"]["tasks"]["failing"], Value::Null);
    assert_eq!(now["apps"]["hr"]["tasks"]["contact"], "made");
    let (code, text) = told(&world, &address, &[]).await;
    assert_eq!(code, Some(0), "{text}");
    daemon.stop().await;
}

#[tokio::test]
async fn held_sync_alarm_outlives_the_daemon() {
    let world = World::new().await;
    people(&world, 50);
    configure(&world, "every = \"1s\"");
    let daemon = world.start();
    let here = address(&daemon).await;
    daemon.says("sync completed").await;
    people(&world, 40);
    let now = status(&here, "the deprovision limit holds", |status| kinds(status) == ["removal_guard"]).await;
    let alarm = &now["apps"]["hr"]["alarms"][0];
    assert!(alarm["message"].as_str().expect("a sentence").contains("remove 10 of 50 records of account"));
    let advice = alarm["advice"].as_str().expect("advice");
    assert!(advice.contains("`bridgehead sync hr --allow-removals`"), "{advice}");
    assert!(get(&here, "/").await.body.contains("<code>bridgehead sync hr --allow-removals</code>"));
    let metrics = get(&here, "/metrics").await.body;
    let held = "bridgehead_held_removals{app=\"hr\",resource_type=\"account\"} 10.0";
    assert!(metrics.contains(held), "{metrics}");
    let (code, text) = told(&world, &here, &[]).await;
    assert!(code == Some(1) && text.contains("ALARM  hr: removal guard"), "{text}");
    daemon.stop().await;

    let (code, text) = told(&world, &here, &[]).await;
    assert_eq!(code, Some(75), "{text}");
    assert!(
        text.contains(&format!("Nothing listens on {here}")) && text.contains("systemctl status"),
        "{text}"
    );
    assert!(text.contains("From the journal") && text.contains("removal guard"), "{text}");
    let output = world.run(&["status", "--json"]).await;
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON on standard output");
    assert_eq!(document["daemon"], Value::Null);
    assert_eq!(document["apps"]["hr"]["sync"]["last_completed"]["counts"]["account"], 50);

    configure(&world, "every = \"6h\"\non_start = false");
    let daemon = world.start();
    let here = address(&daemon).await;
    let now = get(&here, "/status").await.json();
    assert_eq!(kinds(&now), ["removal_guard"], "another process's sync is remembered");
    daemon.stop().await;
}

#[tokio::test]
async fn held_deletions_raise_an_alarm_even_without_a_daemon() {
    let world = World::new().await;
    people(&world, 5);
    world.configure(&format!(
        "connector = \"file\"\nsync = {{ enabled = false }}\n\
         tasks = {{ poll_interval = \"200ms\", guard = {{ max = 1, per = \"1h\" }} }}\n\
         [apps.hr.target]\npath = \"people\"\n{ADMIN}"
    ));
    for account in ["u1", "u2", "u3"] {
        let task = json!({"action": "delete_account", "payload": {"account": {"id": account}}});
        world.sandbox.add_task(world.app, task);
    }
    let daemon = world.start();
    let here = address(&daemon).await;
    let now = status(&here, "two are held", |status| {
        status["apps"]["hr"]["tasks"]["guarded"]["held"] == 2 && kinds(status) == ["task_guard"]
    })
    .await;
    assert_eq!(now["apps"]["hr"]["tasks"]["guarded"]["per_seconds"], 3600);
    assert!(get(&here, "/").await.body.contains("2 held by the deprovision limit"));
    assert!(get(&here, "/metrics").await.body.contains("bridgehead_tasks_guarded{app=\"hr\"} 2.0"));
    let (code, text) = told(&world, &here, &[]).await;
    assert!(code == Some(1) && text.contains("bridgehead tasks release hr --all"), "{text}");
    daemon.stop().await;
    let (code, text) = told(&world, &here, &[]).await;
    assert!(code == Some(75) && text.contains("2 held by the deprovision limit"), "{text}");
}

#[tokio::test]
async fn status_uses_the_control_socket_without_a_listener() {
    let world = World::new().await;
    people(&world, 3);
    world.configure(
        "connector = \"file\"\ntasks = { poll_interval = \"200ms\" }\n[apps.hr.target]\npath = \"people\"\n",
    );
    let (code, text) = said(&world.run(&["status"]).await);
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("No daemon listens on the control socket"), "{text}");
    assert!(text.contains("There is no journal in"), "{text}");
    assert!(!world.path("state").exists(), "looking makes nothing");
    let daemon = world.start();
    daemon.says("sync completed").await;
    let (code, text) = said(&world.run(&["status"]).await);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("process {}", daemon.pid())) && text.contains("All good."), "{text}");
    // Without the socket, the command asks the listener if there is one; otherwise it reads the journal.
    std::fs::remove_file(world.path("state/control.sock")).expect("it is there");
    let (code, text) = said(&world.run(&["status"]).await);
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("completed") && text.contains("From the journal"), "{text}");
    daemon.stop().await;
}

#[tokio::test]
async fn port_in_use_ends_the_start_but_lets_systemd_try_again() {
    let world = World::new().await;
    people(&world, 1);
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    world.configure(&format!(
        "connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n[admin]\nlisten = \"{address}\"\n"
    ));
    let (code, text) = said(&world.run(&["run"]).await);
    assert_eq!(code, Some(75), "with 78, systemd would leave it stopped for good: {text}");
    assert!(text.contains(&format!("admin.listen: {address} is in use")), "{text}");
    assert_eq!(world.sandbox.ledger().len(), 0, "nothing was asked of the Bridge");
    drop(taken);
    let daemon = world.start();
    daemon.says("ready: connected to the Bridge").await;
    daemon.stop().await;
    // The same for an address that the machine may get later; this one is reserved for documentation.
    let configuration = world.read("bridgehead.toml").replace(&address, "192.0.2.1:9464");
    world.write("bridgehead.toml", &configuration);
    let (code, text) = said(&world.run(&["run"]).await);
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("192.0.2.1:9464 is not an address of this machine"), "{text}");
}
