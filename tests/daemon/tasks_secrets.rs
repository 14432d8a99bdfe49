//! Secrets leave no trace: not in the log, a report, the state folder or any output.

use serde_json::json;

use crate::admin::{ADMIN, address, get, kinds, status};
use crate::support::{KEY, World, eventually};
use crate::target::QUICK;

const PASSWORD: &str = "Corr\"ect\\horse-battery-\u{fc}";
const NEW_PASSWORD: &str = "staple-4711-new";
const TOKEN: &str = "token-of-the-target-81";
const PIN: u64 = 974_155_301;

/// Each secret as it is, as a JSON string, and as JSON within a JSON string.
fn forms() -> Vec<String> {
    let quoted = |text: &str| json!(text).to_string().trim_matches('"').to_owned();
    [KEY, PASSWORD, NEW_PASSWORD, TOKEN, &PIN.to_string()]
        .iter()
        .flat_map(|secret| [(*secret).to_owned(), quoted(secret), quoted(&quoted(secret))])
        .collect()
}

fn holds_no_secret(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in forms() {
        if let Some((before, after)) = text.split_once(&secret) {
            let before: String =
                before.chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
            panic!(
                "{what} holds the secret {secret}: …{before}|{}…",
                after.chars().take(100).collect::<String>()
            );
        }
    }
}

async fn leave_no_trace(format: &str) {
    let world = World::new().await;
    world.script_with(
        ", token = { env = \"HR_TOKEN\" }",
        "poll_interval = \"100ms\"\ntimeout = \"2s\"\ngive_up_after = \"10s\"\n",
        &format!("[log]\nformat = \"{format}\"\nlevel = \"trace\""),
    );
    // The connector leaks secrets on standard error, in its messages and in its results.
    let chatter = "password={password} token={token}\n{\"password\": \"{password}\"}";
    let error = |code: &str, more: serde_json::Value| {
        let mut data = more;
        data["code"] = json!(code);
        json!({"message": "HR dislikes {password}, also with {token}", "data": data})
    };
    world.rules(&json!([
        {"account": "fine", "stderr": chatter, "apply": true, "answer": {"account_id": "fine", "echo": "{password}", "{token}": {"deep": "x{token}x"}}},
        {"account": "failed", "stderr": chatter, "error": error("LICENSE_EXHAUSTED", json!({}))},
        {"account": "unclear", "method": "suspend_account", "stderr": chatter, "error": error("TIMEOUT", json!({"retry": "never"}))},
        {"account": "down", "times": 2, "error": error("PERMISSION_DENIED", json!({"subject": "connection", "retry": "backoff"}))},
        {"account": "garbage", "times": 1, "garbage": "Traceback: {password} {token}\n"},
        {"account": "reset", "stderr": chatter, "apply": true, "answer": {"new_password": "{password}"}},
    ]));
    let account = |name: &str| json!({"username": name, "password": PASSWORD, "pin": PIN});
    let mut tasks: Vec<String> = ["fine", "failed", "down"]
        .iter()
        .map(|name| world.task_for("create_account", account(name)))
        .collect();
    for name in ["unclear", "garbage", "reset"] {
        world.account(&json!({"id": name, "username": name}));
    }
    tasks.push(world.task_for("suspend_account", account("unclear")));
    for (action, changes) in [
        ("reset_password", json!({"new_password": NEW_PASSWORD})),
        ("update_account", json!({"password": NEW_PASSWORD})),
    ] {
        tasks.push(world.sandbox.add_task(
            world.app,
            json!({"action": action, "payload": {"account": {"id": "reset"}, "changes": changes}}),
        ));
    }
    // A payload that cannot be parsed may contain a secret, too.
    for (n, payload) in [json!([PASSWORD]), json!({"account": {"username": [PASSWORD]}}), json!(PASSWORD)]
        .into_iter()
        .enumerate()
    {
        let task = json!({"raw": true, "id": format!("odd-{n}"), "status": "pending", "action": "create_account", "payload": payload});
        tasks.push(world.sandbox.add_task(world.app, task));
    }
    let daemon = world.start_with(&[("HR_TOKEN", TOKEN)]);
    world.drained().await;
    // Added last, because it ends the connector process and interrupts the calls in progress.
    tasks.push(world.task_for("suspend_account", account("garbage")));
    world.drained().await;
    // The journal erases reported outcomes when it is idle.
    eventually("the state folder is clean", || {
        let bytes = world.bytes_below("state");
        let text = String::from_utf8_lossy(&bytes);
        forms().iter().all(|secret| !text.contains(secret))
    })
    .await;
    let log = daemon.stop().await;
    assert!(log.contains("[redacted]") && log.contains("HR dislikes"), "it was put to the test: {log}");
    assert!(format == "text" || log.lines().all(|line| line.starts_with('{')), "{log}");
    holds_no_secret("the log", log.as_bytes());
    holds_no_secret("the state folder", &world.bytes_below("state"));
    for task in &tasks {
        for report in world.reported(task) {
            holds_no_secret("a report", report.to_string().as_bytes());
        }
    }
    let echo = &world.task(&tasks[0])["result"];
    assert_eq!(
        echo,
        &json!({"account_id": "fine", "echo": "[redacted]", "[redacted]": {"deep": "x[redacted]x"}})
    );
    assert_eq!(world.message(&tasks[1]), "HR dislikes [redacted], also with [redacted]");

    world.rules(&json!([
        {"method": "check", "stderr": chatter, "error": error("TIMEOUT", json!({"subject": "connection"}))},
        {"method": "list", "stderr": chatter, "error": error("INTERNAL_ERROR", json!({"effect": "not_applied"}))},
    ]));
    for arguments in [
        vec!["check", "--json"],
        vec!["tasks", "list", "--json", "--status", "failed"],
        vec!["tasks", "list", "--json", "--status", "completed"],
        vec!["config", "show", "--json"],
        vec!["sync", "hr", "--json", "--dry-run"],
        vec!["sync", "hr", "--json"],
    ] {
        let mut command = world.command(&arguments);
        command.env("HR_TOKEN", TOKEN);
        let output = tokio::task::spawn_blocking(move || command.output().expect("the binary runs"))
            .await
            .expect("it was waited for");
        assert!(!output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let _: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("JSON alone on standard output");
        holds_no_secret(&format!("{arguments:?}"), &output.stdout);
        holds_no_secret(&format!("{arguments:?} on standard error"), &output.stderr);
    }
}

#[tokio::test]
async fn text_logs_and_files_contain_no_secret() {
    leave_no_trace("text").await;
}

#[tokio::test]
async fn json_logs_and_files_contain_no_secret() {
    leave_no_trace("json").await;
}

#[tokio::test]
async fn bridge_key_is_not_passed_to_the_connector() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\n", "");
    let daemon = world.start();
    let task = world.task_for("create_account", json!("ann"));
    world.drained().await;
    let pid = world.pid_of_target();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("it is running");
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).expect("it is running");
    daemon.stop().await;
    assert_eq!(world.task(&task)["status"], "completed");
    assert!(String::from_utf8_lossy(&environment).contains("PATH="));
    holds_no_secret("the environment of the connector", &environment);
    holds_no_secret("its arguments", &arguments);
}

#[tokio::test]
async fn encoded_secrets_are_in_neither_reports_nor_logs() {
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02X}"));
    let utf16: Vec<u16> = PASSWORD.encode_utf16().collect();
    let little_end: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let encoded = [
        utf16.iter().fold(String::new(), |text, unit| text + &format!("\\u{unit:04x}")),
        PASSWORD.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02x}")),
        hex(PASSWORD.as_bytes()),
        hex(&little_end),
        // `printf 'ann:%s' "$PASSWORD" | base64`
        "YW5uOkNvcnIiZWN0XGhvcnNlLWJhdHRlcnktw7w=".to_owned(),
    ];
    let world = World::new().await;
    world.script(QUICK, "");
    let message = format!("refused: {}", encoded.join(", "));
    world.rules(&json!([{
        "account": "ann", "stderr": message,
        "error": {"message": message, "data": {"code": "INTERNAL_ERROR", "effect": "not_applied"}},
    }]));
    let task = world.task_for("create_account", json!({"username": "ann", "password": PASSWORD}));
    let daemon = world.start();
    world.drained().await;
    let log = daemon.stop().await;
    let told = world.message(&task);
    assert_eq!(told.matches("[redacted]").count(), encoded.len(), "{told}");
    assert!(log.matches("[redacted]").count() >= 2 * encoded.len(), "{log}");
    for encoded in &encoded {
        let middle = &encoded[8..encoded.len() - 8];
        assert!(!told.contains(middle) && !log.contains(middle), "{encoded}: {told}\n{log}");
    }
}

#[tokio::test]
async fn saved_response_fields_may_have_secret_like_names() {
    let world = World::new().await;
    let target = |save: &str, more: &str| {
        world.configure(&format!(
            "connector = \"http\"\n[apps.hr.target]\nbase_url = \"http://127.0.0.1:9\"\n[apps.hr.target.login]\npath = \"/login\"\n\
             save = {{ {save} }}\n{more}"
        ));
    };
    let refused = "secrets are not allowed in plain text";
    target("token = \"answer.token\", session = \"cookies.session\"", "");
    let output = world.run(&["check", "--offline"]).await;
    let told =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!told.contains(refused), "{told}");
    target("token = \"answer.token\"", "[apps.hr.target.login.headers]\nAuthorization = \"Basic YTpi\"\n");
    let output = world.run(&["check", "--offline"]).await;
    let told =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(refused) && told.contains("headers.Authorization"), "{told}");
}

/// Secrets that the daemon was never told: a target or a program quotes its own.
const UNDECLARED: [(&str, &str); 6] = [
    ("cannot reach postgres://hr:un-declared-1@db/hr", "un-declared-1"),
    ("login failed: password=un-declared-2 user=hr", "un-declared-2"),
    ("sent Authorization: Bearer un-declared-3", "un-declared-3"),
    ("refused {\"api_key\": \"un-declared-4\"}", "un-declared-4"),
    ("key -----BEGIN PRIVATE KEY-----\nun-declared-5\n-----END PRIVATE KEY----- is wrong", "un-declared-5"),
    ("got AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
];

async fn hide_undeclared(format: &str) {
    let holds_none = |what: &str, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        for (_, secret) in UNDECLARED {
            assert!(!text.contains(secret), "{what} holds {secret}: {text}");
        }
    };
    let world = World::new().await;
    // Syncs give up on the unreachable target soon.
    let tasks = "poll_interval = \"100ms\"\ntimeout = \"5s\"\ngive_up_after = \"5s\"\n";
    world.script(tasks, &format!("{ADMIN}[log]\nformat = \"{format}\"\nlevel = \"trace\""));
    let mut rules = Vec::new();
    let mut tasks = Vec::new();
    for (number, (message, _)) in UNDECLARED.iter().enumerate() {
        let (failed, done) = (format!("failed-{number}"), format!("done-{number}"));
        rules.push(json!({"account": failed, "stderr": message,
            "error": {"message": message, "data": {"code": "INTERNAL_ERROR", "effect": "not_applied", "retry": "never"}}}));
        rules.push(json!({"account": done, "apply": true,
            "answer": {"account_id": done, "note": message, "initial_password": UNDECLARED[number].1}}));
        tasks.push(world.task_for("create_account", json!(failed)));
        world.task_for("create_account", json!(done));
    }
    world.rules(&json!(rules));
    let daemon = world.start();
    let here = address(&daemon).await;
    world.drained().await;
    for task in &tasks {
        assert!(world.message(task).contains("[redacted]"), "{}", world.message(task));
    }
    assert!(
        world.message(&tasks[0]).contains("postgres://hr:[redacted]@db/hr"),
        "{}",
        world.message(&tasks[0])
    );
    // The target is not reachable any more, and says so in its own words.
    let all: Vec<&str> = UNDECLARED.iter().map(|(message, _)| *message).collect();
    let all = all.join("; ");
    let down =
        json!({"message": all, "data": {"code": "TIMEOUT", "subject": "connection", "retry": "backoff"}});
    world.rules(&json!([
        {"account": "down", "error": down}, {"method": "check", "error": down}, {"method": "list", "error": down},
    ]));
    let held = world.task_for("create_account", json!("down"));
    status(&here, "the target is unreachable", |status| kinds(status) == ["target_unreachable"]).await;
    for path in ["/status", "/", "/apps/hr", "/metrics"] {
        holds_none(path, get(&here, path).await.body.as_bytes());
    }
    for arguments in [
        vec!["status"],
        vec!["status", "--json"],
        vec!["tasks", "list", "hr", "--json"],
        vec!["tasks", "list", "hr", "--json", "--status", "failed"],
        vec!["tasks", "show", "hr", &tasks[1], "--json"],
        vec!["tasks", "show", "hr", &held],
        vec!["sync", "hr", "--dry-run", "--json"],
        vec!["sync", "hr", "--json"],
        vec!["check"],
        vec!["audit", "export"],
    ] {
        let output = world.run(&arguments).await;
        assert!(!output.stdout.is_empty(), "{arguments:?}: {output:?}");
        holds_none(&format!("{arguments:?}"), &output.stdout);
        holds_none(&format!("{arguments:?} on standard error"), &output.stderr);
    }
    let log = daemon.stop().await;
    assert!(log.contains("[redacted]") && log.contains("login failed"), "it was put to the test: {log}");
    if format == "json" {
        for line in log.lines() {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
            assert!(parsed.is_ok(), "{line}");
        }
    }
    holds_none("the log", log.as_bytes());
    holds_none("the state folder", &world.bytes_below("state"));
    for (id, reports) in tasks.iter().map(|task| (task, world.reported(task))) {
        for report in &reports {
            holds_none(id, report.to_string().as_bytes());
        }
    }
    for task in world.sandbox.tasks(world.app) {
        holds_none("a result", json!(task).to_string().as_bytes());
    }
    // Without the daemon, commands start the program themselves.
    for arguments in
        [vec!["check"], vec!["call", "hr", "check"], vec!["call", "hr", "list"], vec!["sync", "hr", "--json"]]
    {
        let output = world.run(&arguments).await;
        holds_none(&format!("{arguments:?}, alone"), &output.stdout);
        holds_none(&format!("{arguments:?} on standard error, alone"), &output.stderr);
    }
}

#[tokio::test]
async fn undeclared_secrets_of_a_target_leave_no_trace_in_text_logs() {
    hide_undeclared("text").await;
}

#[tokio::test]
async fn undeclared_secrets_of_a_target_leave_no_trace_in_json_logs() {
    hide_undeclared("json").await;
}
