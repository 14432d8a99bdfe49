//! Crashes at random moments, and before and after every single commit. The tasks end the same as without a crash, and nothing is done
//! twice. The target is slow, and a repeated create makes a second account.

#[path = "../chaos/evidence/mod.rs"]
#[allow(dead_code, reason = "the chaos tests use the rest")]
pub(crate) mod evidence;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use self::evidence::ledger::Ledger;
use self::evidence::people::{self, Iden, Size, Wish};
use self::evidence::{Evidence, Violation, rules, syncs};
use crate::support::{World, eventually};

const SIGABRT: i32 = 6;

/// How many targets run at the same time in the tests of steps: most of the time they wait for an attempt to end.
const AT_ONCE: usize = 6;

/// A target, and the tasks to execute.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) wishes: Vec<Wish>,
    daemon: Option<Child>,
}

impl Scene {
    /// `work` is the range of the target's processing time for a change, in seconds; `app` is additional TOML for the app.
    pub(crate) async fn new(work: [f64; 2], app: &str) -> Self {
        let world = World::new().await;
        people::settle(&world.path("target"), Size::LARGE);
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/target.py");
        std::fs::copy(source, world.path("target.py")).expect("the connector");
        let behaviour = json!({"seed": 1, "timeout": 2, "work": work, "linger": 0.7, "lag": 0.6});
        world.write("target/faults.json", &behaviour.to_string());
        let folder = world.path("target").display().to_string();
        world.configure(&format!(
            "connector = \"exec\"\n{app}\n[apps.hr.target]\ncommand = [\"python3\", \"target.py\"]\n\
             settings = {{ folder = \"{folder}\", token = {{ env = \"HR_TOKEN\" }} }}\n"
        ));
        Self { world, wishes: Vec::new(), daemon: None }
    }

    pub(crate) fn wish(&mut self, wish: Wish) {
        self.world.sandbox.add_task(self.world.app, wish.task());
        self.wishes.push(wish);
    }

    /// A command whose output is added to the log.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let log = File::options().create(true).append(true).open(self.world.path("log")).expect("a log");
        let mut command = self.world.command(arguments);
        command.env("HR_TOKEN", "a-token").stdout(log.try_clone().expect("a log")).stderr(log);
        command
    }

    /// Starts the daemon with additional environment variables.
    pub(crate) fn start_with(&mut self, variables: &[(&str, &str)]) {
        let mut command = self.command(&["run"]);
        command.envs(variables.iter().copied());
        self.daemon = Some(command.spawn().expect("the binary starts"));
    }

    /// Starts the daemon; `step` says where it should crash.
    fn start(&mut self, step: Option<&str>) {
        let step = step.map(|step| ("BRIDGEHEAD_TEST_CRASH_AT_STEP", step));
        self.start_with(step.as_slice());
    }

    /// The id of the daemon's process.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon").id()
    }

    /// The daemon's exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.daemon.as_mut().expect("a daemon").try_wait().expect("it can be waited for")
    }

    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon");
        daemon.kill().expect("it can be killed");
        daemon.wait().expect("it ends");
    }

    pub(crate) fn is_done(&self) -> bool {
        self.world.tasks_that_are("pending") == 0
    }

    /// Whatever was done twice, lost, or reported wrongly.
    pub(crate) fn violations(&self) -> String {
        let ledger = Ledger::read(&self.world.path("target"));
        let (sandbox, app) = (&self.world.sandbox, self.world.app);
        let evidence = Evidence {
            sandbox,
            app,
            wishes: &self.wishes,
            ledger: &ledger,
            state_was_damaged: false,
            state_was_replaced: false,
        };
        let mut violations = rules::tasks(&evidence);
        violations.extend(syncs::replay(&evidence).violations);
        let story = |violation: &Violation| {
            let story = violation.task.as_deref().map(|task| evidence.story(task)).unwrap_or_default();
            format!("{}: {}\n{story}", violation.rule, violation.what)
        };
        violations.iter().map(story).collect()
    }

    /// The outcome of every task, and every account: a crash must not change these. After a crash, a deleted account cannot be
    /// distinguished from one that never existed, so only the effect of a deletion counts.
    fn outcome(&self) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
        let outcome = |wish: &Wish| {
            let task = self.world.task(&wish.id);
            let outcome = json!([task["status"], task["error"]["code"]]);
            (wish.id.clone(), if wish.action == "delete_account" { Value::Null } else { outcome })
        };
        let accounts = Ledger::read(&self.world.path("target")).accounts_at(i128::MAX);
        // New accounts are numbered in the order of their creation, which is not guaranteed.
        let account = |mut account: Value| {
            account["id"] = Value::Null;
            (account["username"].as_str().unwrap_or_default().to_owned(), account)
        };
        (self.wishes.iter().map(outcome).collect(), accounts.into_values().map(account).collect())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            drop(daemon.kill());
            drop(daemon.wait());
        }
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}", self.world.read("log"));
        }
    }
}

const TASKS: &str = "sync = { enabled = false, every = \"1h\" }\n\
    tasks = { poll_interval = \"100ms\", timeout = \"2s\", concurrency = 12 }\n";

#[tokio::test]
async fn repeated_random_kills_neither_lose_nor_repeat_tasks() {
    const KILLS: usize = 25;
    let mut rng = StdRng::seed_from_u64(4711);
    let mut iden = Iden::new(Size::LARGE);
    let mut crashed = Scene::new([0.1, 1.1], TASKS).await;
    crashed.start(None);
    for _ in 0..KILLS {
        for _ in 0..6 {
            crashed.wish(iden.wish(&mut rng));
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(300..1700))).await;
        assert_eq!(crashed.ended(), None, "the daemon ended by itself");
        crashed.kill();
        crashed.start(None);
    }
    eventually("every task has ended", || crashed.is_done()).await;
    let violations = crashed.violations();
    assert!(violations.is_empty(), "{violations}");

    let mut calm = Scene::new([0.0, 0.0], TASKS).await;
    for wish in crashed.wishes.clone() {
        calm.wish(wish);
    }
    calm.start(None);
    eventually("every task has ended", || calm.is_done()).await;
    assert_eq!(crashed.outcome(), calm.outcome());
}

/// A task of every action, one that fails, and some that depend on each other.
fn one_of_each() -> Vec<Wish> {
    let mut rng = StdRng::seed_from_u64(1);
    let mut iden = Iden::new(Size::LARGE);
    let mut wishes = vec![iden.create(&mut rng)];
    let new = wishes[0].username.clone();
    for (action, username) in [
        ("update_account", new.as_str()),
        ("suspend_account", "person-0001"),
        ("unsuspend_account", "person-0001"),
        ("reset_password", "person-0002"),
        ("delete_account", "person-0003"),
        ("suspend_account", "nobody"),
    ] {
        let mut wish = iden.on_account(action, &mut rng);
        wish.account = json!({"username": username});
        username.clone_into(&mut wish.username);
        wishes.push(wish);
    }
    wishes
}

/// Crashes once at a step. Returns the result, or `None` if the step was never reached.
async fn crash_at(step: String) -> Option<Scene> {
    let app = TASKS.replace("concurrency = 12", "concurrency = 1").replace("2s", "1s");
    let mut scene = Scene::new([0.0, 0.05], &app).await;
    for wish in one_of_each() {
        scene.wish(wish);
    }
    scene.start(Some(&step));
    let mut status = None;
    eventually("it crashes, or every task has ended", || {
        status = scene.ended();
        status.is_some() || scene.is_done()
    })
    .await;
    // The end of the last task is written to the journal after its report.
    if status.is_none() {
        tokio::time::sleep(Duration::from_millis(500)).await;
        status = scene.ended();
    }
    let status = status?;
    assert_eq!(status.signal(), Some(SIGABRT), "step {step}: {status}");
    scene.start(None);
    eventually("every task has ended", || scene.is_done()).await;
    let violations = scene.violations();
    assert!(violations.is_empty(), "step {step}: {violations}");
    Some(scene)
}

/// Crashes at every step, in one run each. Returns the number of steps.
async fn crash_at_every_step(moment: &str) -> usize {
    let mut expected = None;
    let mut steps = 0;
    loop {
        let at_once = (1..=AT_ONCE).map(|n| crash_at(format!("{}:{moment}", steps + n)));
        let scenes: Vec<Scene> = futures::future::join_all(at_once).await.into_iter().flatten().collect();
        for scene in &scenes {
            let outcome = scene.outcome();
            assert_eq!(&outcome, expected.get_or_insert_with(|| outcome.clone()));
        }
        steps += scenes.len();
        if scenes.len() < AT_ONCE {
            return steps;
        }
    }
}

/// The intents and outcomes of seven tasks. Each task has an end as well, which may share a commit with the next intent.
const FEWEST: usize = 7 * 2;

#[tokio::test]
async fn crash_before_any_commit_does_not_change_task_outcomes() {
    let steps = crash_at_every_step("before").await;
    assert!(steps >= FEWEST, "only {steps} steps");
}

#[tokio::test]
async fn crash_after_any_commit_does_not_change_task_outcomes() {
    let steps = crash_at_every_step("after").await;
    assert!(steps >= FEWEST, "only {steps} steps");
}

/// Crashes once during a sync. Returns false if the step was never reached.
async fn crash_in_a_sync(step: String) -> bool {
    let app = "tasks = { enabled = false }\nsync = { every = \"1h\", on_start = true }\n";
    let mut scene = Scene::new([0.0, 0.0], app).await;
    scene.start(Some(&step));
    let log = scene.world.path("log");
    let says_completed = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("sync completed"));
    let mut status = None;
    eventually("it crashes, or the sync has completed", || {
        status = scene.ended();
        status.is_some() || says_completed()
    })
    .await;
    let Some(status) = status else { return false };
    assert_eq!(status.signal(), Some(SIGABRT), "step {step}: {status}");
    scene.start(None);
    eventually("the sync has completed", says_completed).await;
    let ledger = Ledger::read(&scene.world.path("target"));
    let (sandbox, app) = (&scene.world.sandbox, scene.world.app);
    let evidence = Evidence {
        sandbox,
        app,
        wishes: &[],
        ledger: &ledger,
        state_was_damaged: false,
        state_was_replaced: false,
    };
    let mut violations = syncs::replay(&evidence).violations;
    violations.extend(syncs::equal(&evidence));
    assert!(violations.is_empty(), "step {step}: {violations:?}");
    true
}

#[tokio::test]
async fn sync_crash_at_any_commit_removes_no_account() {
    for moment in ["before", "after"] {
        let mut steps = 0;
        loop {
            let at_once = (1..=AT_ONCE).map(|n| crash_in_a_sync(format!("{}:{moment}", steps + n)));
            let reached =
                futures::future::join_all(at_once).await.into_iter().filter(|reached| *reached).count();
            steps += reached;
            if reached < AT_ONCE {
                break;
            }
        }
        assert!(steps >= 8, "only {steps} steps {moment}");
    }
}
