//! `bridgehead call`: runs one operation manually, as the daemon would, and reports the result.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::World;

const PASSWORD: &str = "Quiet-Harbour-4711";
const PEOPLE: &str = "id,email,username,display_name,status,team\nu1,ann@example.org,ann,Ann,active,t1\n";

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// A folder of accounts as the target of the app.
async fn folder() -> World {
    let world = World::new().await;
    world.write("people/accounts.csv", PEOPLE);
    world.write("people/team.csv", "id,name\nt1,Team One\n");
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n");
    world
}

#[tokio::test]
async fn call_shows_the_response_and_its_interpretation() {
    let world = folder().await;
    for (arguments, shown) in [
        (&["call", "hr", "describe"][..], "\"create_account\""),
        (&["call", "hr", "check"], "all good"),
        (&["call", "hr", "list"], "\"id\":\"u1\""),
        (&["call", "hr", "list"], "last page; evidence: atomic"),
        (&["call", "hr", "list", "team"], "\"name\":\"Team One\""),
        (&["call", "hr", "find", "--id", "u1"], "accepts this record: its id matches"),
        (&["call", "hr", "find", "--username", "ANN"], "its user name matches"),
        (
            &["call", "hr", "find", "--email", "nobody@example.org"],
            "concludes that the account does not exist",
        ),
    ] {
        let output = world.run(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(out(&output).contains(shown), "{arguments:?}: {output:?}");
    }
    let output = world.run(&["call", "hr", "list", "--json"]).await;
    let page = told(&output);
    assert_eq!((&page["app"], &page["operation"]), (&json!("hr"), &json!("list")));
    assert_eq!(page["pages"][0]["answer"]["ok"]["records"][0]["username"], "ann", "{page:#}");
    let output = world.run(&["call", "hr", "list", "tem"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("did you mean 'team'?"), "{output:?}");
    assert!(world.sandbox.ledger().is_empty(), "Iden is not asked");
    assert!(!world.path("state").exists(), "no state is made");
}

#[tokio::test]
async fn call_runs_every_action_and_verifies_it() {
    let world = folder().await;
    let output = world
        .run(&[
            "call",
            "hr",
            "create",
            "--username",
            "bob",
            "--email",
            "bob@example.org",
            "--member",
            "team:t1",
            "--yes",
            "--json",
        ])
        .await;
    let created = told(&output);
    assert_eq!(output.status.code(), Some(0), "{created:#}");
    assert_eq!(
        (&created["decision"], &created["report"]["status"]),
        (&json!("complete"), &json!("completed"))
    );
    let id = created["report"]["result"]["account_id"].as_str().expect("an id").to_owned();
    assert_eq!(created["answer"]["ok"]["account_id"], id.as_str(), "{created:#}");
    assert!(world.read("people/accounts.csv").contains("bob@example.org"));
    for (arguments, now) in [
        (&["update", "--id", &id, "--set", "display_name=Robert", "--yes"][..], "Robert"),
        (&["suspend", "--id", &id, "--yes"], "suspended"),
        (&["unsuspend", "--id", &id, "--yes"], "active"),
    ] {
        let output = world.run(&[&["call", "hr"], arguments].concat()).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(
            out(&output).contains("the account was read back and shows the requested state"),
            "{output:?}"
        );
        let people = world.read("people/accounts.csv");
        assert!(people.lines().any(|line| line.contains("bob@") && line.contains(now)), "{people}");
    }
    // The account already exists: the same comparison as in the daemon.
    let again =
        ["call", "hr", "create", "--username", "bob", "--email", "other@example.org", "--yes", "--json"];
    let output = world.run(&again).await;
    let told_again = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told_again:#}");
    assert_eq!(told_again["report"]["error"]["code"], "ACCOUNT_ALREADY_EXISTS", "{told_again:#}");
    let output = world.run(&["call", "hr", "delete", "--id", &id, "--yes"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(world.read("people/accounts.csv").matches("bob").count(), 0);
    let output = world.run(&["call", "hr", "delete", "--id", &id, "--yes"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out(&output).contains("ACCOUNT_NOT_FOUND, not applied, retry never, about the account"),
        "{output:?}"
    );
    assert!(world.sandbox.ledger().is_empty(), "Iden is not asked");
}

#[tokio::test]
async fn call_changes_nothing_without_consent_or_if_protected() {
    let world = folder().await;
    let output = world.run(&["call", "hr", "delete", "--id", "u1"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(err(&output).contains("Pass --yes to confirm"), "{output:?}");
    world.configure(
        "connector = \"file\"\n[apps.hr.protect]\naccounts = [\"ann\"]\n[apps.hr.target]\npath = \"people\"\n",
    );
    // Protected under another name than the given one.
    let output = world.run(&["call", "hr", "delete", "--id", "u1", "--yes"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        out(&output).contains("was not called") && out(&output).contains("PERMISSION_DENIED"),
        "{output:?}"
    );
    assert_eq!(world.read("people/accounts.csv"), PEOPLE);
    for (arguments, why) in [
        (&["find"][..], "identify the account with --id"),
        (&["find", "--id", "u1", "--set", "a=b"], "--set cannot be used with this operation"),
        (&["create", "--username", "x", "--set", "password=y"], "use --password-file"),
        (&["create", "--username", "x", "--member", "team"], "such as team:t1"),
    ] {
        let output = world.run(&[&["call", "hr"], arguments].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(err(&output).contains(why), "{arguments:?}: {output:?}");
    }
}

#[tokio::test]
async fn call_requires_confirmation_to_change_while_a_daemon_runs() {
    let world = folder().await;
    let daemon = world.start();
    daemon.says("sync completed").await;
    let output = world.run(&["call", "hr", "suspend", "--id", "u1"]).await;
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(err(&output).contains("is not coordinated with its tasks"), "{output:?}");
    assert_eq!(world.read("people/accounts.csv"), PEOPLE);
    let output = world.run(&["call", "hr", "find", "--id", "u1"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = world.run(&["call", "hr", "suspend", "--id", "u1", "--yes"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn call_explains_how_the_daemon_would_handle_an_error() {
    let world = World::new().await;
    world.script_with("", "timeout = \"5s\"\n", "");
    world.account(&json!({"id": "u1", "username": "ann", "email": "ann@example.org"}));
    let error =
        |data: Value| json!([{"method": "suspend_account", "error": {"message": "no", "data": data}}]);
    for (data, exit, decision, says) in [
        (json!({"code": "RATE_LIMITED", "retry_after": 7}), 75, "retry", "no sooner than 7s"),
        (json!({"code": "RATE_LIMITED"}), 75, "retry", "retried within"),
        (json!({"code": "PERMISSION_DENIED"}), 1, "fail", "failed with PERMISSION_DENIED immediately"),
        (
            json!({"code": "TIMEOUT", "effect": "not_applied", "subject": "connection"}),
            75,
            "hold",
            "held with all tasks of hr",
        ),
    ] {
        world.rules(&error(data.clone()));
        let output = world.run(&["call", "hr", "suspend", "--id", "u1", "--yes", "--json"]).await;
        let told = told(&output);
        assert_eq!(output.status.code(), Some(exit), "{data}: {told:#}");
        assert_eq!(told["decision"], decision, "{data}: {told:#}");
        assert!(told["says"].as_str().expect("a sentence").contains(says), "{data}: {told:#}");
        assert_eq!(told["answer"]["error"]["code"], data["code"], "{told:#}");
    }
}

#[tokio::test]
async fn password_is_read_from_stdin_and_never_shown() {
    let world = World::new().await;
    world.script_with("", "timeout = \"5s\"\n", "");
    world.account(&json!({"id": "u1", "username": "ann", "email": "ann@example.org"}));
    let mut command =
        world.command(&["call", "hr", "reset-password", "--id", "u1", "--password-file", "-", "--yes"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let line = format!("{PASSWORD}\n");
    child.stdin.take().expect("piped").write_all(line.as_bytes()).expect("it is read");
    let output =
        tokio::task::spawn_blocking(|| child.wait_with_output()).await.expect("waited for").expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let all = out(&output) + &err(&output);
    assert!(!all.contains(PASSWORD), "{all}");
    assert!(
        out(&output).contains("not visible, because the target does not show them: password"),
        "{output:?}"
    );
    let reached = world
        .calls()
        .into_iter()
        .filter(|call| call.method == "reset_password" && call.event == "start")
        .count();
    assert_eq!(reached, 1, "the target was asked once");
}

#[tokio::test]
async fn trace_shows_messages_without_secrets() {
    let world = World::new().await;
    world.script("", "");
    let password = world.path("password");
    std::fs::write(&password, PASSWORD).expect("a file");
    let file = password.to_str().expect("a path");
    let arguments =
        ["call", "hr", "create", "--username", "bob", "--password-file", file, "--yes", "--trace"];
    let output = world.run(&arguments).await;
    let told = err(&output);
    let sent = told.lines().find(|line| line.contains("\"method\":\"create_account\"")).expect(&told);
    assert!(sent.starts_with("--> hr  {") && sent.contains("\"username\":\"bob\""), "{told}");
    assert!(told.lines().any(|line| line.starts_with("<-- hr  {")), "{told}");
    assert!(!told.contains(PASSWORD) && !out(&output).contains(PASSWORD), "{told}");
    let output = world.run(&["call", "hr", "find", "--username", "bob"]).await;
    assert!(!err(&output).contains("--> hr"), "{}", err(&output));
}

#[tokio::test]
async fn listing_with_fewer_records_than_its_total_is_not_called_complete() {
    let world = World::new().await;
    let described = r#"{"name":"short","version":"1","actions":[],"resource_types":[{"slug":"account","name":"A","type":"account"}]}"#;
    let page = r#"{"records":[{"id":"u1","username":"ann"}],"next":null,"total":2}"#;
    let program = format!(
        "while read -r line; do case $line in *initialize*) echo '{{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{described}}}';; \
         *) echo '{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{page}}}';; esac; done\n"
    );
    world.write("short.sh", &program);
    world.configure("connector = \"exec\"\n[apps.hr.target]\ncommand = [\"sh\", \"short.sh\"]\n");
    let output = world.run(&["call", "hr", "list"]).await;
    assert!(out(&output).contains("1 of 2 records"), "{output:?}");
    assert!(out(&output).contains("does not accept this as the end: there are fewer records"), "{output:?}");
}

#[tokio::test]
async fn reason_is_shown_if_the_account_cannot_be_looked_up() {
    let world = folder().await;
    world.write("people/accounts.csv", PEOPLE.trim_end());
    let output = world.run(&["call", "hr", "suspend", "--id", "u1", "--yes"]).await;
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(out(&output).contains("connector  was not called"), "{output:?}");
    assert!(out(&output).contains("accounts.csv line 2: the last line has no line break"), "{output:?}");
}
