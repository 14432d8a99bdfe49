//! `bridgehead check APP --conformance`: what it does to a live target, and when it refuses.

use std::process::Output;

use serde_json::Value;

use crate::support::World;

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

#[tokio::test]
async fn read_only_proves_what_reads_and_changes_nothing() {
    let world = World::new().await;
    folder(&world);
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n");
    let output = world.run(&["check", "hr", "--conformance", "--read-only"]).await;
    let told = out(&output);
    assert!(output.status.success(), "{told}{}", err(&output));
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    assert!(told.lines().any(|line| line.starts_with("ok       ")), "{told}");
    assert!(told.contains(" passed, 0 failed, "), "{told}");
    assert_eq!(world.read("people/accounts.csv"), PEOPLE);
    assert!(world.sandbox.ledger().is_empty(), "Iden is not asked");

    let output = world.run(&["check", "hr", "--conformance", "--read-only", "--json"]).await;
    let told: Value = serde_json::from_str(&out(&output)).expect("JSON");
    assert_eq!((&told["app"], &told["read_only"], &told["failed"]), (&"hr".into(), &true.into(), &0.into()));
    let checks = told["checks"].as_array().expect("checks");
    assert_eq!(checks.iter().filter(|check| check["result"] == "passed").count() as u64, told["passed"]);
    assert!(checks.iter().all(|check| check["name"].is_string() && check["rule"].is_string()), "{told:#}");
}

#[tokio::test]
async fn a_check_that_fails_is_the_exit_code() {
    let world = World::new().await;
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"nowhere\"\n");
    let output = world.run(&["check", "hr", "--conformance", "--read-only"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert!(out(&output).lines().any(|line| line.starts_with("failed   ")), "{}", out(&output));
    let output = world.run(&["check", "hr", "--conformance", "--read-only", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_str(&out(&output)).expect("JSON");
    assert!(told["failed"].as_u64() > Some(0), "{told:#}");
}

#[tokio::test]
async fn nothing_is_changed_unless_somebody_agrees() {
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
        assert!(output.status.success(), "{}", err(&output));
    }
    assert_eq!(world.read("people/accounts.csv"), PEOPLE);
}

#[tokio::test]
async fn beside_a_daemon_nothing_is_changed() {
    let world = World::new().await;
    folder(&world);
    world.configure("connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n");
    let daemon = world.start();
    daemon.says("sync completed").await;
    let output = world.run(&["check", "hr", "--conformance", "--yes"]).await;
    assert_eq!(output.status.code(), Some(75), "{}", out(&output));
    assert!(err(&output).contains("a daemon runs on the state folder"), "{}", err(&output));
    let output = world.run(&["check", "hr", "--conformance", "--read-only"]).await;
    assert!(output.status.success(), "{}", err(&output));
    daemon.stop().await;
    assert_eq!(world.read("people/accounts.csv"), PEOPLE);
}

#[tokio::test]
async fn settings_of_a_situation_that_are_wrong_are_a_wrong_configuration() {
    let world = World::new().await;
    folder(&world);
    let app = "connector = \"file\"\n[apps.hr.target]\npath = \"people\"\n\
               [apps.hr.conformance]\nunreachable = { pth = \"nowhere\" }\n";
    world.configure(app);
    let output = world.run(&["check", "hr", "--conformance", "--read-only"]).await;
    assert_eq!(output.status.code(), Some(78));
    let told = err(&output);
    assert!(told.contains("apps.hr.target.pth: unknown key; did you mean 'path'?"), "{told}");
    assert!(told.contains("apps.hr.conformance.unreachable laid over target"), "{told}");
}
