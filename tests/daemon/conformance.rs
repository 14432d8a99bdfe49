//! `bridgehead check APP --conformance`: its effects on a live target, and when it refuses to run.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{World, eventually};

const PEOPLE: &str = "id,email,username,display_name,status,team\nu1,ann@example.org,ann,Ann,active,t1\n";

fn folder(world: &World) {
    world.write("people/accounts.csv", PEOPLE);
    world.write("people/team.csv", "id,name\nt1,Team One\n");
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(output: &Output) -> Vec<Value> {
    out(output).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[tokio::test]
async fn read_only_conformance_changes_nothing() {
    let world = World::new().await;
    folder(&world);
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n");
    let output = world.run(&["check", "hr", "--conformance", "--read-only"]).await;
    let told = out(&output);
    assert_eq!(output.status.code(), Some(3), "what was skipped is not proven: {told}{}", err(&output));
    assert!(told.starts_with("skipped  "), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    assert!(told.lines().any(|line| line.starts_with("ok       ")), "{told}");
    assert!(told.contains(" passed, 0 failed, "), "{told}");
    assert_eq!(world.read("people/accounts.csv"), PEOPLE);
    assert!(world.sandbox.ledger().is_empty(), "Iden is not asked");

    let output = world.run(&["check", "hr", "--conformance", "--read-only", "--json"]).await;
    let mut checks = lines(&output);
    let told = checks.pop().expect("a summary");
    assert_eq!(
        (&told["event"], &told["app"], &told["read_only"]),
        (&"summary".into(), &"hr".into(), &true.into())
    );
    assert_eq!((&told["failed"], &told["left"]), (&0.into(), &json!([])));
    assert_eq!(checks.iter().filter(|check| check["result"] == "passed").count() as u64, told["passed"]);
    assert!(checks.iter().all(|check| check["event"] == "check" && check["app"] == "hr"), "{checks:#?}");
    assert!(checks.iter().all(|check| check["seconds"].is_f64() && check["rule"].is_string()), "{checks:#?}");
}

#[tokio::test]
async fn failed_conformance_check_sets_the_exit_code() {
    let world = World::new().await;
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"nowhere\"\n");
    let output = world.run(&["check", "hr", "--conformance", "--read-only"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert!(out(&output).lines().any(|line| line.starts_with("failed   ")), "{}", out(&output));
    let output = world.run(&["check", "hr", "--conformance", "--read-only", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(lines(&output).pop().expect("a summary")["failed"].as_u64() > Some(0));
}

#[tokio::test]
async fn conformance_changes_nothing_without_consent() {
    let world = World::new().await;
    folder(&world);
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n");
    let output = world.run(&["check", "hr", "--conformance"]).await;
    assert_eq!(output.status.code(), Some(2));
    let told = err(&output);
    assert!(
        told.contains("creates, changes and deletes accounts in 'hr'") && told.contains("--yes"),
        "{told}"
    );
    for arguments in
        [&["check", "--conformance", "--yes"][..], &["check", "hr", "hr", "--conformance", "--yes"]]
    {
        let output = world.run(arguments).await;
        assert_eq!(output.status.code(), Some(2));
        assert!(err(&output).contains("takes the name of one app"), "{}", err(&output));
    }
    for (protect, named) in [
        ("accounts = [\"admin\", \"*@example.com\"]", "apps.hr.protect.accounts protects '*@example.com'"),
        ("actions = [\"create_account\"]", "apps.hr.protect.actions does not allow delete_account"),
    ] {
        let app = format!(
            "connector = \"file\"\n[apps.hr.protect]\n{protect}\n[apps.hr.target]\npath = \"people\"\n"
        );
        world.configure(&app);
        let output = world.run(&["check", "hr", "--conformance", "--yes"]).await;
        assert_eq!(output.status.code(), Some(2));
        assert!(err(&output).contains(named), "{}", err(&output));
        let output = world.run(&["check", "hr", "--conformance", "--read-only"]).await;
        assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    }
    assert_eq!(world.read("people/accounts.csv"), PEOPLE);
}

#[tokio::test]
async fn conformance_changes_nothing_while_a_daemon_runs() {
    let world = World::new().await;
    folder(&world);
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n");
    let daemon = world.start();
    daemon.says("sync completed").await;
    let output = world.run(&["check", "hr", "--conformance", "--yes"]).await;
    assert_eq!(output.status.code(), Some(75), "{}", out(&output));
    assert!(err(&output).contains("a daemon is running on the state folder"), "{}", err(&output));
    let output = world.run(&["check", "hr", "--conformance", "--read-only"]).await;
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    daemon.stop().await;
    assert_eq!(world.read("people/accounts.csv"), PEOPLE);
}

#[tokio::test]
async fn invalid_situation_settings_are_a_configuration_error() {
    let world = World::new().await;
    folder(&world);
    let app = "connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n\
               [apps.hr.conformance]\nunreachable = { pth = \"nowhere\" }\n";
    world.configure(app);
    let output = world.run(&["check", "hr", "--conformance", "--read-only"]).await;
    assert_eq!(output.status.code(), Some(78));
    let told = err(&output);
    assert!(told.contains("apps.hr.target.pth: unknown key; did you mean 'path'?"), "{told}");
    assert!(told.contains("apps.hr.conformance.unreachable applied to target"), "{told}");
}

#[tokio::test]
async fn checks_are_listed_and_selected_by_name() {
    let world = World::new().await;
    folder(&world);
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n");
    let output = world.run(&["check", "--conformance", "--list"]).await;
    assert!(output.status.success(), "{}", err(&output));
    assert!(out(&output).contains("\ncreate (changes the target)\n  "), "{}", out(&output));
    assert!(out(&output).lines().all(|line| line.chars().count() <= 80), "{}", out(&output));
    let output = world.run(&["check", "--conformance", "--list", "--only", "paging-*", "--json"]).await;
    let listed: Value = serde_json::from_str(&out(&output)).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(5), "{listed:#}");

    let arguments = ["check", "hr", "--conformance", "--read-only", "--only", "listing,rec*", "--json"];
    let output = world.run(&arguments).await;
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    let made = lines(&output);
    let names: Vec<&str> = made.iter().filter_map(|line| line["name"].as_str()).collect();
    assert_eq!(names, ["describe", "listing", "records"]);

    let output = world.run(&["check", "hr", "--conformance", "--only", "lisitng"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("'lisitng' is not a check of the kit; did you mean 'listing'?"),
        "{}",
        err(&output)
    );
}

#[tokio::test]
async fn accepted_skips_are_configured() {
    let world = World::new().await;
    folder(&world);
    let app = "connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n[apps.hr.conformance]\n";
    let arguments = ["check", "hr", "--conformance", "--read-only", "--only", "listing,create", "--json"];
    world.configure(&format!("{app}accept_skipped = [\"create\"]\n"));
    let output = world.run(&arguments).await;
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    assert_eq!(lines(&output).pop().expect("a summary")["skipped_not_accepted"], 0);
    world.configure(&format!("{app}accept_skipped = [\"paging-*\"]\n"));
    let output = world.run(&arguments).await;
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(lines(&output).pop().expect("a summary")["skipped_not_accepted"], 1);
    world.configure(&format!("{app}accept_skipped = [\"creat\"]\n"));
    let output = world.run(&arguments).await;
    assert_eq!(output.status.code(), Some(78));
    let wanted = "apps.hr.conformance.accept_skipped[0]: is not a check of the kit; did you mean 'create'?";
    assert!(err(&output).contains(wanted), "{}", err(&output));
}

#[tokio::test]
async fn results_are_written_as_junit() {
    let world = World::new().await;
    folder(&world);
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n");
    let file = world.path("results.xml");
    let to = file.to_str().expect("a path");
    let output = world.run(&["check", "hr", "--conformance", "--read-only", "--junit", to]).await;
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    let written = world.read("results.xml");
    let case = "<testcase name=\"listing\" classname=\"bridgehead.conformance.hr\"";
    assert!(written.contains(case) && written.contains("<skipped message="), "{written}");
    let nowhere = world.path("nowhere/results.xml");
    let arguments =
        ["check", "hr", "--conformance", "--read-only", "--junit", nowhere.to_str().expect("a path")];
    let output = world.run(&arguments).await;
    assert_eq!(output.status.code(), Some(74), "{}", err(&output));
    assert!(err(&output).contains("results.xml cannot be written: "), "{}", err(&output));
}

/// A connector over exec that keeps its accounts in a file. It is slow enough to be stopped midway.
const SLOW: &str = r#"
import json, sys, time
people = {}
try:
    people = json.load(open("people.json"))
except FileNotFoundError:
    pass
def keep():
    json.dump(people, open("people.json", "w"))
def found(account):
    for one in people.values():
        if account.get("id") == one["id"] or ("id" not in account and account.get("username", "").lower() == one["username"].lower()):
            return one
for line in sys.stdin:
    call = json.loads(line)
    method, params = call["method"], call.get("params") or {}
    account = params.get("account") or params
    time.sleep(0.02)
    reply = {"result": {}}
    if method == "initialize":
        reply = {"result": {"name": "slow", "version": "1", "actions": ACTIONS,
            "resource_types": [{"slug": "account", "name": "Account", "type": "account"}]}}
    elif method == "list":
        reply = {"result": {"records": list(people.values()), "next": None}}
    elif method == "find_account":
        reply = {"result": found(account)}
    elif method == "create_account":
        id = "u%d" % (len(people) + 1000)
        people[id] = {"id": id, "username": account["username"], "email": account["email"], "status": "active"}
        keep()
        reply = {"result": {"account_id": id}}
    elif method == "delete_account":
        one = found(account)
        if one is None:
            reply = {"error": {"code": -32000, "message": "no such account", "data": {"code": "ACCOUNT_NOT_FOUND"}}}
        else:
            del people[one["id"]]
            keep()
    elif method == "suspend_account":
        found(account)["status"] = "suspended"
        keep()
    if "id" in call:
        print(json.dumps({"jsonrpc": "2.0", "id": call["id"], **reply}), flush=True)
    if method == "shutdown":
        break
"#;

/// Stops the kit by a signal as soon as it has created an account; returns its output and the remaining accounts.
async fn stopped_by(signal: &str, actions: &str) -> (Output, Value) {
    let world = World::new().await;
    world.write("slow.py", &SLOW.replace("ACTIONS", actions));
    world.configure("connector = \"exec\"\n[apps.hr.target]\ncommand = [\"python3\", \"slow.py\"]\n");
    let mut command = world.command(&["check", "hr", "--conformance", "--yes"]);
    let kit = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let people = || -> Value {
        let file = std::fs::read_to_string(world.path("people.json"));
        file.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_else(|| json!({}))
    };
    eventually("somebody is made", || people() != json!({})).await;
    let told =
        std::process::Command::new("kill").arg(format!("-{signal}")).arg(kit.id().to_string()).status();
    assert!(told.expect("kill runs").success());
    let output = tokio::task::spawn_blocking(move || kit.wait_with_output()).await.expect("a thread");
    (output.expect("it ends"), people())
}

#[tokio::test]
async fn a_signal_lets_the_kit_remove_what_it_has_made() {
    for signal in ["INT", "TERM", "HUP"] {
        let (output, left) =
            stopped_by(signal, r#"["create_account", "delete_account", "suspend_account"]"#).await;
        assert_eq!(output.status.code(), Some(1), "{signal}: {}", err(&output));
        assert!(err(&output).contains("stopped; the kit left nothing in hr"), "{signal}: {}", err(&output));
        assert_eq!(left, json!({}), "{signal}: {}", out(&output));
        assert!(out(&output).contains("because the kit was stopped"), "{signal}: {}", out(&output));
    }
}

#[tokio::test]
async fn accounts_left_after_a_signal_are_named() {
    let (output, left) = stopped_by("TERM", r#"["create_account", "suspend_account"]"#).await;
    assert!(err(&output).contains(" named above, "), "{}{}", out(&output), err(&output));
    let names: Vec<&str> =
        left.as_object().expect("people").values().filter_map(|one| one["username"].as_str()).collect();
    assert!(!names.is_empty());
    for name in names {
        assert!(
            out(&output).contains(&format!("left     {name} is left, suspended")),
            "{name}: {}",
            out(&output)
        );
    }
}
