//! SIGTERM during work: running calls finish, or are interrupted and recovered at the next start.

use std::process::Command;

use bridgehead::sandbox::{Effect, Fault};
use serde_json::json;

use crate::support::{World, eventually};
use crate::target::QUICK;

#[tokio::test]
async fn sigterm_finishes_running_tasks_and_starts_no_new_ones() {
    let world = World::new().await;
    world.script(&format!("{QUICK}concurrency = 2\n"), "");
    world.rules(&json!([{"method": "create_account", "hang_until": "go"}]));
    let tasks: Vec<String> =
        (0..5).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    let behind = world.task_for("suspend_account", json!("user-0"));
    let mut daemon = world.start();
    let begun = || tasks.iter().filter(|task| world.applied(task) == 1).count();
    eventually("two are in progress", || begun() == 2).await;
    daemon.signal("TERM").await;
    daemon.says("stop signal received").await;
    world.write("target/go", "");
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert_eq!((begun(), world.tasks_that_are("completed")), (2, 2), "{}", daemon.log());
    assert!(world.attempts(&behind).is_empty());
    assert!(!daemon.log().contains("grace period expired"), "{}", daemon.log());

    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for task in tasks.iter().chain([&behind]) {
        assert_eq!((world.attempts(task), world.task(task)["status"].as_str()), (vec![1], Some("completed")));
    }
}

#[tokio::test]
async fn tasks_exceeding_the_shutdown_grace_are_recovered() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"20s\"\n", "[runtime]\nshutdown_grace = \"300ms\"");
    world.account(&json!({"id": "bob", "username": "bob"}));
    world.rules(&json!([{"attempt": 1, "apply": true, "hang_until": "never"}]));
    let create = world.task_for("create_account", json!("ann"));
    let suspend = world.task_for("suspend_account", json!("bob"));
    let mut daemon = world.start();
    eventually("both are done", || world.applied(&create) + world.applied(&suspend) == 2).await;
    daemon.signal("TERM").await;
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(daemon.log().contains("grace period expired"), "{}", daemon.log());
    assert_eq!(world.tasks_that_are("pending"), 2);

    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for task in [&create, &suspend] {
        assert_eq!(world.task(task)["status"], "completed");
        assert_eq!((world.attempts(task), world.applied(task)), (vec![1], 1));
    }
    assert_eq!(world.task(&create)["result"], json!({"account_id": "ann"}));
}

#[tokio::test]
async fn second_sigterm_exits_at_once_safely() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"50s\"\n", "[runtime]\nshutdown_grace = \"50s\"");
    world.rules(&json!([{"attempt": 1, "apply": true, "hang_until": "never"}]));
    let task = world.task_for("create_account", json!("ann"));
    let mut daemon = world.start();
    eventually("it is done", || world.applied(&task) == 1).await;
    daemon.signal("TERM").await;
    daemon.says("stop signal received; waiting for running work to finish").await;
    daemon.signal("TERM").await;
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(1), "{}", daemon.log());
    assert!(daemon.log().contains("second stop signal received"), "{}", daemon.log());

    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(world.task(&task)["status"], "completed");
    assert_eq!((world.attempts(&task), world.applied(&task)), (vec![1], 1));
}

#[tokio::test]
async fn task_waiting_for_a_retry_does_not_delay_shutdown() {
    let world = World::new().await;
    world.script(QUICK, "");
    let slow_down =
        json!({"message": "HR asks to slow down", "data": {"code": "RATE_LIMITED", "retry_after": 50}});
    world.rules(&json!([{"method": "create_account", "account": "ann", "error": slow_down, "times": 1}]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    daemon.says("retrying").await;
    let log = daemon.stop().await;
    assert!(!log.contains("grace period expired"), "{log}");
    assert_eq!(world.task(&task)["status"], "pending");
    let daemon = world.start();
    // The target said that nothing was done, so there is nothing to verify.
    world.drained().await;
    let log = daemon.stop().await;
    assert!(!log.contains("was interrupted"), "{log}");
    assert_eq!(
        (world.task(&task)["status"].as_str(), world.attempts(&task)),
        (Some("completed"), vec![1, 2])
    );
}

#[tokio::test]
async fn closed_terminal_stops_the_daemon_unless_nohup() {
    let world = World::new().await;
    world.script(QUICK, "");
    // A separate terminal, which the helper closes when it receives SIGUSR1.
    let terminal = "import os, pty, signal, sys\n\
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n\
        log = os.dup(2)\n\
        pid, terminal = pty.fork()\n\
        if pid == 0:\n    \
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])\n    \
            os.dup2(log, 2)\n    \
            os.execvp(sys.argv[1], sys.argv[1:])\n\
        print(f'on a terminal: {pid}.', flush=True)\n\
        signal.sigwait([signal.SIGUSR1])\n\
        os.close(terminal)\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let command = world.command(&["run"]);
    let mut on_terminal = Command::new("python3");
    on_terminal.args(["-c", terminal]).arg(command.get_program()).args(command.get_args());
    on_terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    on_terminal.env_remove("NOTIFY_SOCKET");
    let mut daemon = World::started(on_terminal);
    daemon.says("ready").await;
    let log = daemon.log();
    let pid =
        log.split("on a terminal: ").nth(1).and_then(|rest| rest.split('.').next()).expect("the process");
    let kill =
        |signal: &str, pid: &str| Command::new("kill").args([signal, pid]).status().expect("kill runs");
    assert!(kill("-HUP", pid).success());
    daemon.says("the configuration is reloaded; nothing has changed").await;
    assert!(!daemon.log().contains("stop signal received"), "the terminal is still there: {}", daemon.log());
    assert!(kill("-USR1", &daemon.pid().to_string()).success());
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    daemon.says("stop signal received; waiting for running work to finish").await;

    // SIGHUP is ignored, as with nohup.
    let command = world.command(&["run"]);
    let mut careless = Command::new("sh");
    careless
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    careless.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    careless.env_remove("NOTIFY_SOCKET");
    let daemon = World::started(careless);
    daemon.says("ready").await;
    daemon.signal("HUP").await;
    let task = world.task_for("create_account", json!("ann"));
    world.drained().await;
    assert_eq!(world.applied(&task), 1);
    assert!(!daemon.log().contains("stop signal received"), "{}", daemon.log());
    daemon.stop().await;
}

#[tokio::test]
async fn sighup_without_a_terminal_reloads_the_configuration() {
    let world = World::new().await;
    world.script(QUICK, "");
    let mut command = Command::new("setsid");
    let daemon = world.command(&["run"]);
    command.arg(daemon.get_program()).args(daemon.get_args());
    command.envs(daemon.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env_remove("NOTIFY_SOCKET");
    let daemon = World::started(command);
    // SIGHUP during the start does not end it either.
    daemon.signal("HUP").await;
    daemon.says("ready").await;
    daemon.signal("HUP").await;
    daemon.says("the configuration is reloaded; nothing has changed").await;
    let task = world.task_for("create_account", json!("ann"));
    world.drained().await;
    assert_eq!(world.applied(&task), 1);
    assert!(!daemon.log().contains("stop signal received"), "{}", daemon.log());
    daemon.stop().await;
}

#[tokio::test]
async fn stop_while_iden_is_unreachable_loses_nothing() {
    let world = World::new().await;
    world.script(&format!("{QUICK}concurrency = 2\n"), "[runtime]\nshutdown_grace = \"2s\"");
    world.rules(&json!([{"method": "create_account", "account": "bob", "hang_until": "go"}]));
    let ann = world.task_for("create_account", json!("ann"));
    let bob = world.task_for("create_account", json!("bob"));
    let outage = world.sandbox.add_fault(Fault::new(Effect::answer(503)).method("PATCH"));
    let mut daemon = world.start();
    daemon.says("the outcome could not be reported").await;
    let all = world.sandbox.add_fault(Fault::new(Effect::Cut));
    eventually("the other is in progress", || world.called("create_account", "bob") == 1).await;
    daemon.signal("TERM").await;
    daemon.says("stop signal received").await;
    world.write("target/go", "");
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert_eq!(world.tasks_that_are("pending"), 2);

    for fault in [outage, all] {
        world.sandbox.remove_fault(fault);
    }
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for task in [&ann, &bob] {
        assert_eq!((world.attempts(task), world.applied(task)), (vec![1], 1));
        assert_eq!(world.task(task)["status"], "completed");
    }
}

#[tokio::test]
async fn stop_while_the_target_is_unreachable_keeps_tasks_pending() {
    let world = World::new().await;
    world.script(QUICK, "");
    let data = json!({"code": "PERMISSION_DENIED", "effect": "not_applied", "retry": "backoff", "subject": "connection"});
    let refused = json!({"message": "HR refuses the token", "data": data});
    world.rules(
        &json!([{"method": "create_account", "error": refused}, {"method": "check", "error": refused}]),
    );
    let tasks: Vec<String> =
        (0..5).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    let daemon = world.start();
    daemon.says("the target is still unreachable").await;
    let log = daemon.stop().await;
    assert!(!log.contains("grace period expired"), "{log}");
    assert_eq!(world.tasks_that_are("pending"), 5);
    world.rules(&json!([]));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for task in &tasks {
        assert_eq!((world.applied(task), world.task(task)["status"].as_str()), (1, Some("completed")));
    }
}
