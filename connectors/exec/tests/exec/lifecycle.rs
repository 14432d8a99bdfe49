//! The process: when it starts, what happens to calls when it ends, and that it always ends.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{Account, Action, Code, Effect, Error, Redactor, Retry, Subject};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::script::{Script, build, eventually};

/// Works, except for accounts whose name tells it what to do instead.
const MOODY: &str = r#"
for id, method, params in requests():
    name = who(params) if "account" in params else ""
    if name == "silence": continue
    if name == "exit": sys.exit(3)
    if name == "signal": os.kill(os.getpid(), signal.SIGKILL)
    if name == "garbage": raw("s3cret debugging output\n"); continue
    if name == "empty": raw(json.dumps({"jsonrpc": "2.0", "id": id}) + "\n"); continue
    if name == "long": raw("x" * 5000 + "\n"); continue
    if name == "endless": raw("x" * 5000); continue
    if name == "partial": raw('{"jsonrpc":"2.0","id":%d,"result":{}}' % id); os._exit(4)
    if name == "closed": os.close(1); continue
    if name == "stranger": send(id=999999, result={})
    send(id=id, result={"account_id": str(os.getpid())})
"#;

fn moody() -> Arc<Script> {
    let target = json!({"max_line_bytes": 4096, "hang_timeout": "300ms"});
    Arc::new(Script::with(MOODY, &target))
}

fn assert_lost(error: &Error) {
    assert_eq!(error.code(), Code::InternalError, "{error}");
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
    assert_eq!(error.retry(), Retry::Backoff, "{error}");
    assert_eq!(error.subject(), Subject::Account, "{error}");
}

fn assert_not_sent(error: &Error) {
    assert_eq!(error.effect(), Effect::NotApplied, "{error}");
    assert_eq!(error.subject(), Subject::Connection, "{error}");
    assert_ne!(error.retry(), Retry::Never, "{error}");
}

#[tokio::test]
async fn process_starts_on_the_first_call_only() {
    let script = moody();
    assert!(script.starts().is_empty());
    script.create("ann").await.unwrap();
    script.create("bob").await.unwrap();
    assert_eq!(script.starts().len(), 1);
}

#[tokio::test]
async fn dead_or_misbehaving_process_is_reported_and_replaced() {
    for (name, what_happened) in [
        ("exit", "exited with status 3"),
        ("signal", "was killed by signal 9"),
        (
            "garbage",
            "was stopped, because line 2 of its output is not a valid response: it is not JSON; write \
             diagnostics to standard error",
        ),
        (
            "empty",
            "was stopped, because line 2 of its output is not a valid response: it has neither 'result' nor \
             'error'",
        ),
        ("long", "was stopped: a line of its output is longer than 4096 bytes"),
        ("endless", "was stopped: a line of its output is longer than 4096 bytes"),
        ("partial", "exited with status 4"),
        ("closed", "closed its standard output and was stopped"),
    ] {
        let script = moody();
        let error = script.create(name).await.unwrap_err();
        assert_lost(&error);
        let expected = format!(
            "the connector process of acme-hr {what_happened} while processing create_account for {name}"
        );
        assert_eq!(error.message(), expected);
        let completion = script.create_when_restarted("ann").await.unwrap();
        let starts = script.starts();
        assert_eq!(starts.len(), 2, "{name}");
        assert_eq!(completion.result["account_id"], starts[1].to_string());
        assert_ne!(starts[0], starts[1]);
    }
}

#[tokio::test]
async fn crash_loses_all_calls_in_flight() {
    let script = moody();
    script.create("ann").await.unwrap();
    let neighbour = tokio::spawn({
        let script = Arc::clone(&script);
        async move { script.create("silence").await }
    });
    // The neighbouring call reaches the process before the poisoned one: requests are written in the order in which
    // they arrive.
    tokio::task::yield_now().await;
    assert_lost(&script.create("exit").await.unwrap_err());
    let error = neighbour.await.unwrap().unwrap_err();
    assert_lost(&error);
    assert!(error.message().ends_with("while processing create_account for silence"), "{error}");
    script.create_when_restarted("ann").await.unwrap();
}

#[tokio::test]
async fn response_with_unknown_id_does_not_stop_the_process() {
    let script = moody();
    script.create("stranger").await.unwrap();
    script.create("ann").await.unwrap();
    assert_eq!(script.starts().len(), 1);
}

#[tokio::test]
async fn unanswered_cancelled_call_replaces_the_process() {
    let script = moody();
    script.create("ann").await.unwrap();
    let neighbour = tokio::spawn({
        let script = Arc::clone(&script);
        async move { script.find("silence").await }
    });
    tokio::task::yield_now().await;
    assert!(timeout(Duration::from_millis(500), script.create("silence")).await.is_err());
    let error = neighbour.await.unwrap().unwrap_err();
    assert_lost(&error);
    assert_eq!(
        error.message(),
        "the connector process of acme-hr was stopped, because it did not respond to create_account for \
         silence in time while processing find_account for silence"
    );
    script.create_when_restarted("ann").await.unwrap();
    assert_eq!(script.starts().len(), 2);
}

#[tokio::test]
async fn late_response_frees_its_slot() {
    let script = Script::with(
        "for id, method, params in requests():\n\
         \x20   while who(params) == 'slow' and not os.path.exists('go'): time.sleep(0.01)\n\
         \x20   send(id=id, result={'account_id': who(params)})\n",
        &json!({"max_in_flight": 1, "hang_timeout": "1h"}),
    );
    script.connector.describe().await.unwrap();
    assert!(timeout(Duration::from_millis(500), script.create("slow")).await.is_err());
    // The only slot is taken: a waiting call is not sent, and may be dropped.
    assert!(timeout(Duration::from_millis(100), script.create("waiting")).await.is_err());
    std::fs::write(script.path("go"), "").unwrap();
    let completion = script.create("ann").await.unwrap();
    assert_eq!(completion.result["account_id"], "ann");
    assert_eq!(script.starts().len(), 1);
}

#[tokio::test]
async fn process_that_stops_reading_does_not_block_calls_forever() {
    let script = Script::with("next(requests(), None)\ntime.sleep(1000)", &json!({"hang_timeout": "200ms"}));
    let script = Arc::new(script);
    script.connector.describe().await.unwrap();
    // The first call is read and never answered, the second fills the pipe, and the third waits behind it. Only the
    // first has a deadline; when it ends, all three are released.
    let call = |payload| {
        let script = Arc::clone(&script);
        tokio::spawn(async move { script.execute(Action::CreateAccount, payload).await })
    };
    let first = timeout(Duration::from_millis(500), script.create("first"));
    let big = call(json!({"account": {"username": "big"}, "note": "x".repeat(4 << 20)}));
    let third = call(json!({"account": {"username": "third"}}));
    assert!(first.await.is_err());
    big.await.unwrap().unwrap_err();
    assert_not_sent(&third.await.unwrap().unwrap_err());
    assert!(!running(script.starts()[0]));
}

/// Whether a process is still running; this can only be determined on Linux.
fn running(pid: u32) -> bool {
    #[cfg(target_os = "linux")]
    return crate::script::is_running(pid);
    #[cfg(not(target_os = "linux"))]
    return pid == 0;
}

#[tokio::test]
async fn failing_start_is_retried_with_growing_delays() {
    let script = Script::new("sys.exit(1)");
    let (mut tries, mut told_to_wait) = (0, 0);
    let began = Instant::now();
    while script.starts().len() < 5 {
        tries += 1;
        assert!(tries < 2000, "started {} times", script.starts().len());
        let error = script.create("ann").await.unwrap_err();
        assert_not_sent(&error);
        assert!(
            error.message().starts_with("the connector process of acme-hr exited with status 1"),
            "{error}"
        );
        if let Retry::After(wait) = error.retry() {
            assert!(wait <= Duration::from_millis(800), "{wait:?}");
            told_to_wait += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // The delays between five starts are 100, 200, 400 and 800 ms, however fast or slow the machine is.
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
    assert!(told_to_wait > 0, "nobody was told to wait");
}

#[tokio::test]
async fn missing_program_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    for program in ["no-such-program-anywhere", "./not-here"] {
        let connector =
            build(folder.path(), json!({"command": [program, "--token=hunter2"]}), &Redactor::new());
        let error = connector.describe().await.unwrap_err();
        assert_not_sent(&error);
        assert_eq!(error.code(), Code::InternalError, "{error}");
        assert!(error.message().contains(program) && error.message().contains("'command'"), "{error}");
        assert!(!error.message().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn relative_program_runs_in_the_configuration_folder() {
    let script = Script::with(
        "for id, method, params in requests(): send(id=id, result={'account_id': os.getcwd()})",
        &json!({"command": ["./start"]}),
    );
    let start = script.path("start");
    std::fs::write(&start, "#!/bin/sh\nexec python3 script.py\n").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&start, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let completion = script.create("ann").await.unwrap();
    let folder = script.folder.path().canonicalize().unwrap();
    assert_eq!(completion.result["account_id"], folder.to_str().unwrap());
}

#[tokio::test]
async fn failed_start_explains_the_cause() {
    for (body, more, message) in [
        (
            "time.sleep(1000)",
            json!({"start_timeout": "200ms"}),
            "was stopped, because it did not respond to initialize within 0.2 s",
        ),
        (
            "send(id=0, result={'name': 'x', 'version': '1', 'actions': []}); time.sleep(1000)",
            json!({}),
            "was stopped, because its response to initialize was invalid: resource_types must be a list of \
             objects such as",
        ),
        (
            "send(id=0, error={'code': 1, 'message': 'HR refuses the token', 'data': {'code': 'PERMISSION_DENIED'}}); time.sleep(1000)",
            json!({}),
            "does not start: HR refuses the token",
        ),
        (
            "print('starting'); sys.stdout.flush(); time.sleep(1000)",
            json!({}),
            "was stopped, because line 1 of its output is not a valid response",
        ),
    ] {
        let script = Script::with(body, &more);
        for error in [script.connector.describe().await.unwrap_err(), script.create("ann").await.unwrap_err()]
        {
            assert_not_sent(&error);
            let expected = format!("the connector process of acme-hr {message}");
            assert!(error.message().starts_with(&expected), "{error}");
        }
    }
}

#[tokio::test]
async fn cancelled_caller_does_not_stop_the_start() {
    let script = Script::new(
        "while not os.path.exists('go'): time.sleep(0.01)\n\
         for id, method, params in requests(): send(id=id, result={})\n",
    );
    assert!(timeout(Duration::from_millis(50), script.connector.describe()).await.is_err());
    std::fs::write(script.path("go"), "").unwrap();
    script.create("ann").await.unwrap();
    assert_eq!(script.starts().len(), 1);
}

#[tokio::test]
async fn shutdown_stops_the_process_and_starts_no_new_one() {
    let script = Script::new(
        "for id, method, params in requests():\n\
         \x20   send(id=id, result={})\n\
         \x20   if method == 'shutdown': break\n\
         open('orderly', 'w').close()\n",
    );
    script.create("ann").await.unwrap();
    script.connector.shutdown().await;
    assert!(script.path("orderly").exists());
    let error = script.create("bob").await.unwrap_err();
    assert_not_sent(&error);
    assert_eq!(error.message(), "the connector process of acme-hr is being stopped");
    script.connector.describe().await.unwrap_err();
    assert_eq!(script.starts().len(), 1);
}

#[tokio::test]
async fn shutdown_before_the_first_call_starts_no_process() {
    let script = moody();
    script.connector.shutdown().await;
    script.create("ann").await.unwrap_err();
    assert!(script.starts().is_empty());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn process_ignoring_shutdown_is_killed_with_its_children() {
    let script = Script::new(
        "other = subprocess.Popen(['sleep', '1000'])\n\
         for id, method, params in requests():\n\
         \x20   if method != 'shutdown': send(id=id, result={'account_id': str(other.pid)})\n\
         time.sleep(1000)\n",
    );
    let completion = script.create("ann").await.unwrap();
    let other: u32 = completion.result["account_id"].as_str().unwrap().parse().unwrap();
    let process = script.starts()[0];
    assert!(running(process) && running(other));
    script.connector.shutdown().await;
    eventually("both are gone", || !running(process) && !running(other)).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn children_of_a_dead_process_are_killed() {
    let script = Script::new(
        "other = subprocess.Popen(['sleep', '1000'])\n\
         for id, method, params in requests():\n\
         \x20   if method == 'find_account': os._exit(1)\n\
         \x20   send(id=id, result={'account_id': str(other.pid)})\n",
    );
    let completion = script.create("ann").await.unwrap();
    let other: u32 = completion.result["account_id"].as_str().unwrap().parse().unwrap();
    assert_lost(&script.find("u1").await.unwrap_err());
    eventually("the other is gone", || !running(other)).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dropped_connector_leaves_no_process() {
    let Script { connector, folder, .. } =
        Script::new("for id, method, params in requests(): send(id=id, result=None)\ntime.sleep(1000)");
    connector.find_account(&Account::by_id("u1")).await.unwrap();
    let starts = std::fs::read_to_string(folder.path().join("starts")).unwrap();
    let process: u32 = starts.trim().parse().unwrap();
    assert!(running(process));
    drop(connector);
    eventually("it is gone", || !running(process)).await;
}
