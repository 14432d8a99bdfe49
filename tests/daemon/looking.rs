//! Read-only commands: they go through the running daemon, which alone has the credentials, show everything, and leave no trace.

use std::process::{Command, Output, Stdio};

use bridgehead::sandbox::{Effect, Fault};
use serde_json::{Value, json};

use crate::support::{Daemon, KEY, World, eventually};

/// A secret of the target that only the daemon can read.
const TOKEN: &str = "target-token-that-must-never-leak-1234";

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn rows(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// An app with a deprovision limit that holds every deletion; `rest` is additional configuration.
fn guarded(world: &World, people: usize, rest: &str) {
    let lines = (0..people).map(|n| format!("u{n},u{n}@example.org,user{n},active\n"));
    let text: String = std::iter::once("id,email,username,status\n".to_owned()).chain(lines).collect();
    world.write("people/accounts.csv", &text);
    world.configure(&format!(
        "connector = \"file\"\nsync = {{ enabled = false }}\n\
         tasks = {{ poll_interval = \"100ms\", guard = {{ max = 0, per = \"1h\" }} }}\n\
         [apps.hr.target]\npath = \"people\"\n{rest}"
    ));
}

fn delete(world: &World, n: usize) -> String {
    let account = json!({"id": format!("u{n}"), "username": format!("user{n}"), "email": format!("u{n}@example.org"),
                         "display_name": format!("Person No. {n}")});
    let created_at = format!("2026-01-01T00:{:02}:{:02}Z", n / 60, n % 60);
    world.sandbox.add_task(
        world.app,
        json!({"action": "delete_account", "created_at": created_at, "payload": {"account": account}}),
    )
}

/// Deletions of this many accounts, all of them held.
async fn held(world: &World, count: usize) -> (Daemon, Vec<String>) {
    let tasks: Vec<String> = (0..count).map(|n| delete(world, n)).collect();
    let daemon = world.start();
    daemon.says("task_guard").await;
    loop {
        let shown = world.run(&["tasks", "list", "hr", "--held", "--json"]).await;
        if rows(&shown).len() == count {
            return (daemon, tasks);
        }
    }
}

/// Runs a command to completion while the sandbox keeps responding.
async fn finished(mut command: Command) -> Output {
    let run = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
    run.await.expect("it was waited for")
}

/// Runs a command in a terminal of this width, with typed input. Returns everything shown, and the exit code.
async fn in_terminal(command: &Command, columns: u16, typed: &str) -> (String, Option<i32>) {
    const SCRIPT: &str = "
import fcntl, os, pty, struct, sys, termios
columns, typed, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, columns, 0, 0))
    os.execvp(command[0], command)
os.write(terminal, typed.encode())
while True:
    try:
        chunk = os.read(terminal, 65536)
    except OSError:
        break
    if not chunk:
        break
    sys.stdout.buffer.write(chunk)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";
    let mut python = Command::new("python3");
    python
        .args(["-c", SCRIPT, &columns.to_string(), typed])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    let output = finished(python).await;
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    (stdout(&output).replace('\r', ""), output.status.code())
}

#[tokio::test]
async fn read_commands_work_if_only_the_daemon_has_credentials() {
    let world = World::new().await;
    world.write("credentials/iden-key", KEY);
    world.write("credentials/hr-token", TOKEN);
    world.script_with(
        ", token = { credential = \"hr-token\" }",
        "poll_interval = \"100ms\"\nguard = { max = 0, per = \"1h\" }\n",
        "",
    );
    let configured =
        world.read("bridgehead.toml").replace("env = \"IDEN_API_KEY\"", "credential = \"iden-key\"");
    world.write("bridgehead.toml", &configured);
    let refusal = Effect::answer_json(400, json!({"detail": "unknown field"}));
    world.sandbox.add_fault(Fault::new(refusal).method("PATCH").path("**/status/").times(1));
    let refused = world.task_for("create_account", json!("ann"));
    let folder = world.path("credentials");
    let daemon = world.start_with(&[("CREDENTIALS_DIRECTORY", folder.to_str().expect("a path"))]);
    daemon.says("Iden rejected the report of this task").await;
    let failed = world.task_for("update_account", json!({"id": "nobody"}));
    eventually("it has failed", || world.task(&failed)["status"] == "failed").await;
    let account =
        json!({"id": "u1", "username": "bob", "email": "bob@example.org", "display_name": "Bob Example"});
    let held = world.task_for("delete_account", account);
    daemon.says("task_guard").await;

    for (arguments, shown) in [
        (&["tasks", "list"][..], &*held),
        (&["tasks", "list", "--held"], "Bob Example, bob, bob@example.org"),
        (&["tasks", "list", "--held", "--json"], "\"display_name\": \"Bob Example\""),
        (&["tasks", "list", "--rejected"], &*refused),
        (&["tasks", "list", "--status", "failed"], "failed ACCOUNT_NOT_FOUND"),
        (&["tasks", "list", "--status", "failed", "--json"], "\"code\": \"ACCOUNT_NOT_FOUND\""),
        (&["tasks", "list", "--status", "failed"], &*format!("{failed}: ")),
        (&["apps", "list"], "hr"),
        (&["check"], "ok       hr: target: reachable"),
        (&["check", "--json"], "\"what\": \"hr: access in Iden\""),
        (&["check", "--offline"], "valid, as loaded by the running daemon"),
    ] {
        let output = world.run(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(stdout(&output).contains(shown), "{arguments:?}: {output:?}");
        let all = stdout(&output) + &stderr(&output);
        assert!(!all.contains(KEY) && !all.contains(TOKEN), "{arguments:?}");
    }
    let status = world.run(&["status"]).await;
    assert_eq!(status.status.code(), Some(1), "the guard holds a task: {status:?}");
    assert!(stdout(&status).contains("process") && stderr(&status).is_empty(), "{status:?}");
    daemon.stop().await;

    // The contents of the journal can be shown without a key; what only Iden has cannot.
    let shown = world.run(&["tasks", "list", "--held", "--json"]).await;
    assert_eq!((shown.status.code(), &rows(&shown)[0]["task"]), (Some(0), &json!(held)), "{shown:?}");
    assert!(stderr(&shown).contains("the credential 'iden-key'"), "{shown:?}");
    for arguments in [&["tasks", "list"][..], &["apps", "list"]] {
        let output = world.run(arguments).await;
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {output:?}");
        assert!(stderr(&output).contains("the credential 'iden-key'"), "{arguments:?}: {output:?}");
    }
}

/// The runtime retries its own calls; an operator's request must not fail because of a single error response either.
#[tokio::test]
async fn temporary_bridge_error_does_not_fail_operator_commands() {
    let world = World::new().await;
    guarded(&world, 1, "");
    let (daemon, _) = held(&world, 1).await;
    // While no sync runs, the daemon itself never requests the list of apps.
    let hiccup = Fault::new(Effect::answer(503)).method("GET").path("**/apps/").times(2);
    world.sandbox.add_fault(hiccup);
    let output = world.run(&["apps", "list"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(world.sandbox.faults()[0].fired, 2);
    daemon.stop().await;
}

#[tokio::test]
async fn task_list_shows_counts_and_json_has_all_with_names() {
    let world = World::new().await;
    guarded(&world, 60, "");
    let (daemon, tasks) = held(&world, 60).await;
    let text = stdout(&world.run(&["tasks", "list", "--held"]).await);
    assert!(
        text.contains("hr: 50 of 60 held tasks; use `--limit N` to show more, `--json` to list all"),
        "{text}"
    );
    assert!(text.contains("Person No. 7, user7, u7@example.org"), "{text}");
    assert!(text.contains("`bridgehead tasks release hr --all --expect 60`"), "{text}");
    let text = stdout(&world.run(&["tasks", "list", "--held", "--limit", "100"]).await);
    assert!(text.contains("hr: 60 of 60 held tasks\n") && text.contains("user59"), "{text}");
    let text = stdout(&world.run(&["tasks", "list", "--limit", "3"]).await);
    assert!(text.contains("hr: 3 of 60 pending tasks;"), "{text}");

    for arguments in [&["tasks", "list", "--held", "--json"][..], &["tasks", "list", "--json"]] {
        let all = rows(&world.run(arguments).await);
        let ids: Vec<&str> = all.iter().filter_map(|row| row["task"].as_str()).collect();
        assert_eq!(ids, tasks, "{arguments:?}: in the order in which Iden made them");
        assert!(all.iter().all(|row| row["held_since"].is_string() && row["email"].is_string()), "{all:?}");
    }
    let some = rows(&world.run(&["tasks", "list", "--held", "--json", "--limit", "5"]).await);
    assert_eq!(some.len(), 5);
    // The list is complete without Iden; only what Iden alone has is missing, and the command says so.
    world.sandbox.add_fault(Fault::new(Effect::answer(503)).method("GET"));
    let output = world.run(&["tasks", "list", "--held", "--json"]).await;
    assert_eq!((output.status.code(), rows(&output).len()), (Some(0), 60), "{output:?}");
    assert!(stderr(&output).contains("hr: cannot ask Iden, so names may be missing"), "{output:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn releasing_all_lists_accounts_and_checks_the_expected_count() {
    let world = World::new().await;
    guarded(&world, 5, "");
    let (daemon, tasks) = held(&world, 3).await;
    for arguments in [
        &["tasks", "release", "hr", "--all", "--expect", "2"][..],
        &["tasks", "release", "hr", "--all", "--expect", "2", "--json"],
    ] {
        let refused = world.run(arguments).await;
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(
            stderr(&refused).contains("3 tasks of hr are held, not 2: nothing was released"),
            "{refused:?}"
        );
    }
    assert_eq!(world.tasks_that_are("pending"), 3);
    let done = world.run(&["tasks", "release", "hr", "--all", "--expect", "3"]).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let said = stdout(&done);
    let (before, after) = said.split_once("Released 3 tasks of hr").expect("it says so");
    assert!(before.contains("Person No. 2, user2, u2@example.org") && after.contains(&tasks[2]), "{said}");
    world.drained().await;
    daemon.stop().await;
    let refused = world.run(&["tasks", "release", "hr", "--all", "--expect", "3"]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let refused = world.run(&["tasks", "retry", "hr", "--all", "--expect", "1"]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(stderr(&refused).contains("0 reports of hr are rejected, not 1"), "{refused:?}");
    let usage = world.run(&["tasks", "release", "hr", &tasks[0], "--expect", "1"]).await;
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
}

#[tokio::test]
async fn terminal_keeps_ids_whole_and_confirms_releasing_all() {
    let world = World::new().await;
    guarded(&world, 5, "");
    let (daemon, tasks) = held(&world, 3).await;
    for columns in [80, 120, 250] {
        let (shown, code) =
            in_terminal(&world.command(&["tasks", "list", "hr", "--held"]), columns, "").await;
        assert_eq!(code, Some(0), "{shown}");
        for task in &tasks {
            assert_eq!(shown.matches(task.as_str()).count(), 1, "{columns}: {shown}");
        }
    }
    let release = world.command(&["tasks", "release", "hr", "--all"]);
    let (shown, code) = in_terminal(&release, 120, "no\n").await;
    assert!(code == Some(1) && shown.contains("not confirmed; nothing was released"), "{shown}");
    assert_eq!(world.tasks_that_are("pending"), 3);
    let (shown, code) = in_terminal(&release, 120, "3\n").await;
    assert!(code == Some(0) && shown.contains("Released 3 tasks of hr"), "{shown}");
    world.drained().await;
    daemon.stop().await;
}

#[tokio::test]
async fn check_finds_problems_that_run_would() {
    let world = World::new().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("an address");
    guarded(&world, 1, &format!("[admin]\nlisten = \"{address}\"\n"));
    let checked = world.run(&["check"]).await;
    let said = stdout(&checked);
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("failed   admin.listen: {address} is in use")), "{said}");
    assert!(said.contains("ok       state.path: ") && said.contains("does not exist yet"), "{said}");
    assert!(!world.path("state").exists(), "looking makes nothing");
    drop(taken);
    world.write("state", "a file, not a folder");
    let checked = world.run(&["check"]).await;
    let said = stdout(&checked);
    assert!(checked.status.code() == Some(1) && said.contains("failed   state.path: "), "{said}");
    std::fs::remove_file(world.path("state")).expect("it was there");

    let daemon = world.start();
    daemon.says("ready").await;
    let checked = world.run(&["check"]).await;
    let said = stdout(&checked);
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("in use by the running daemon (process {})", daemon.pid())), "{said}");
    assert!(
        said.contains(&format!("ok       admin.listen: the running daemon responds on {address}")),
        "{said}"
    );
    assert!(said.contains("ok       hr: verification: tasks.verify is on"), "{said}");
    // A configuration that changed since the start is checked as it is now.
    let changed = world.read("bridgehead.toml").replace("poll_interval = \"100ms\"", "verify = false");
    world.write("bridgehead.toml", &changed);
    let said = stdout(&world.run(&["check"]).await);
    assert!(said.contains("warning  daemon: the configuration differs from the one that"), "{said}");
    assert!(said.contains("warning  hr: verification: tasks.verify is off"), "{said}");
    daemon.stop().await;
}

#[tokio::test]
async fn check_names_unverifiable_fields() {
    let world = World::new().await;
    world.write(
        "hr.py",
        "import json, sys\nfor line in sys.stdin:\n    request = json.loads(line)\n    result = {}\n    \
         if request['method'] == 'initialize':\n        result = {'name': 'hr', 'version': '1', 'actions': ['create_account'],\n            \
         'resource_types': [{'slug': 'account', 'name': 'Account', 'type': 'account'}],\n            \
         'unverifiable': ['display_name', 'memberships.team']}\n    \
         print(json.dumps({'jsonrpc': '2.0', 'id': request['id'], 'result': result}), flush=True)\n",
    );
    world.configure(&format!(
        "connector = \"exec\"\n[apps.hr.target]\ncommand = [\"python3\", {:?}]\n",
        world.path("hr.py").display().to_string()
    ));
    let checked = world.run(&["check"]).await;
    let said = stdout(&checked);
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(said.contains("the target cannot show display_name, memberships.team"), "{said}");
}

#[tokio::test]
async fn commands_without_a_daemon_create_no_state_folder() {
    let world = World::new().await;
    guarded(&world, 1, "");
    for (arguments, said) in
        [(&["tasks", "list"][..], "No pending tasks.\n"), (&["apps", "list", "--json"], "[\n")]
    {
        let output = world.run(arguments).await;
        assert!(output.status.success() && stdout(&output).starts_with(said), "{arguments:?}: {output:?}");
        assert!(!world.path("state").exists(), "{arguments:?}");
    }
    // "None" would be a guess: the state may have been moved.
    for list in ["--held", "--rejected"] {
        let output = world.run(&["tasks", "list", list]).await;
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""), "{output:?}");
        assert!(stderr(&output).contains("There is no journal in"), "{output:?}");
        assert!(!world.path("state").exists(), "{list}");
    }
}

#[tokio::test]
async fn unwritable_output_fails_but_a_closed_pipe_does_not() {
    let world = World::new().await;
    guarded(&world, 1, "");
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["man"],
        &["completions", "bash"],
        &["config", "show"],
        &["config", "schema"],
        &["tasks", "list"],
        &["tasks", "list", "--json"],
        &["apps", "list"],
        &["check"],
        &["sync", "--dry-run"],
    ] {
        let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let mut command = world.command(arguments);
        command.stdout(full());
        let output = finished(command).await;
        assert_eq!(output.status.code(), Some(74), "{arguments:?}: {output:?}");
        assert!(stderr(&output).contains("cannot write standard output"), "{arguments:?}: {output:?}");

        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = world.command(arguments);
        command.stdout(writer);
        let output = finished(command).await;
        let is_quiet = !stderr(&output).contains("standard output");
        assert!(output.status.success() && is_quiet, "{arguments:?}: {output:?}");
    }
}
