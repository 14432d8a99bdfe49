//! Mistakes that operators make at night: mistyped names, a file with an error, an app that the daemon does not run yet, the wrong user.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Output;

use serde_json::json;

use crate::support::World;
use crate::target::QUICK;

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command that must end with this code, and returns what it says.
async fn ends(world: &World, code: i32, arguments: &[&str]) -> String {
    let output = world.run(arguments).await;
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    said(&output)
}

#[tokio::test]
async fn mistyped_values_are_named_with_what_was_meant() {
    let world = World::new().await;
    world.script(QUICK, "");
    let daemon = world.start();
    daemon.says("ready").await;
    for (arguments, meant) in [
        (&["log-level", "hrr", "debug"][..], "did you mean 'hr'?"),
        (&["audit", "show", "--app", "hrr"], "did you mean 'hr'?"),
        (&["tasks", "list", "--action", "delete_acount"], "did you mean 'delete_account'?"),
        (&["tasks", "list", "--json", "--code", "TIMEOUTT"], "did you mean 'TIMEOUT'?"),
        (&["sync", "cancel", "hr"], "`bridgehead sync --cancel APP`"),
        (&["sync", "now", "hr"], "`bridgehead sync APP`"),
        (&["sync", "hr", "--allow-removals", "3f9a2c7d41e0"], "a digest such as r-"),
    ] {
        let told = ends(&world, 2, arguments).await;
        assert!(told.contains(meant), "{arguments:?}: {told}");
    }
    // Nothing found, but nothing mistyped either.
    for arguments in
        [&["audit", "show", "--app", "hr", "--task", "t"][..], &["tasks", "list", "--code", "timeout"]]
    {
        ends(&world, 0, arguments).await;
    }
    daemon.stop().await;
}

#[tokio::test]
async fn app_that_the_daemon_does_not_run_yet_hides_no_other() {
    let world = World::new().await;
    world.script(QUICK, "");
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    world.drained().await;
    let configuration = world.read("bridgehead.toml");
    let more =
        "\n[apps.another]\napp_id = \"22222222-2222-4222-8222-222222222222\"\nconnector = \"simulated\"\n";
    world.write("bridgehead.toml", &(configuration.clone() + more));
    for form in [&[][..], &["--json"], &["--csv"]] {
        let list = [&["tasks", "list", "--status", "completed"], form].concat();
        let told = ends(&world, 1, &list).await;
        assert!(told.contains(&task) && told.contains("does not know another"), "{list:?}: {told}");
        assert!(told.contains("`bridgehead reload`"), "{told}");
    }
    world.write("bridgehead.toml", &configuration);
    ends(&world, 0, &["tasks", "list"]).await;
    daemon.stop().await;
}

/// The state folder is named in a file that has an error further down.
#[tokio::test]
async fn reload_of_a_file_that_is_not_toml_reaches_the_daemon() {
    let world = World::new().await;
    world.script(QUICK, "");
    let daemon = world.start();
    daemon.says("ready").await;
    let configuration = world.read("bridgehead.toml");
    world.write("bridgehead.toml", &format!("{configuration}\nx = [\n"));
    let told = ends(&world, 78, &["reload"]).await;
    assert!(told.contains("not valid TOML") && told.contains("continues with the configuration"), "{told}");
    let told = ends(&world, 78, &["status"]).await;
    assert!(told.contains("not valid TOML") && told.contains(&format!("process {}", daemon.pid())), "{told}");
    world.write("bridgehead.toml", &configuration);
    ends(&world, 0, &["reload"]).await;
    daemon.stop().await;
}

/// "There is none" would be wrong where this user may not look.
#[tokio::test]
async fn other_users_are_told_that_they_may_not_look() {
    const NOBODY: u32 = 65_534;
    let world = World::new().await;
    world.script(QUICK, "[admin]\nlisten = \"127.0.0.1:0\"\n");
    let daemon = world.start();
    let here = crate::admin::address(&daemon).await;
    daemon.says("ready").await;
    let configuration = world.read("bridgehead.toml").replace("127.0.0.1:0", &here);
    world.write("bridgehead.toml", &configuration);
    let as_nobody = async |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.uid(NOBODY).gid(NOBODY);
        let ended = tokio::task::spawn_blocking(move || command.output()).await.expect("it ran");
        ended.expect("root can become another user")
    };
    // The folder of a test is closed; its owner opens the way to the configuration, and the state stays closed.
    std::fs::set_permissions(world.path(""), Permissions::from_mode(0o755)).expect("it is ours");
    for (arguments, part) in [
        (&["audit", "show"][..], "cannot be read: Permission denied"),
        (&["audit", "verify"], "cannot be read: Permission denied"),
        (&["state", "backup", "/nowhere"], "Permission denied"),
        (&["tasks", "list"], "run this command as the daemon's user, or as root"),
    ] {
        let output = as_nobody(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert!(said(&output).contains(part), "{arguments:?}: {output:?}");
    }
    let checked = said(&as_nobody(&["check"]).await);
    assert!(checked.contains("skipped  admin.listen: a bridgehead (process "), "{checked}");
    assert!(!checked.contains("Stop that process"), "it is the daemon itself: {checked}");
    daemon.stop().await;
}
