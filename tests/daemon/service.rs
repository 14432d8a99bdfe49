//! What the daemon reports to systemd and its journal.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use bridgehead::sandbox::{Effect, Fault};

use crate::support::{KEY, World, eventually};
use crate::target::QUICK;

/// The socket on which systemd would listen.
struct Heard {
    socket: UnixDatagram,
    said: String,
}

impl Heard {
    fn new(world: &World) -> Self {
        let socket = UnixDatagram::bind(world.path("notify")).expect("a socket");
        socket.set_nonblocking(true).expect("it can be");
        Self { socket, said: String::new() }
    }

    /// All messages so far, each on separate lines.
    fn all(&mut self) -> &str {
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            self.said.push_str(&String::from_utf8_lossy(&message[..length]));
            self.said.push('\n');
        }
        &self.said
    }
}

fn socket(world: &World) -> String {
    world.path("notify").to_str().expect("text").to_owned()
}

/// `bridgehead run` started by a line of shell that ends with `exec "$0" "$@"`.
fn behind(world: &World, shell: &str) -> Command {
    let daemon = world.command(&["run"]);
    let mut command = Command::new("sh");
    command.args(["-c", shell]).arg(daemon.get_program()).args(daemon.get_args());
    command.env_remove("NOTIFY_SOCKET").env("IDEN_API_KEY", KEY).stdin(Stdio::null());
    command
}

#[tokio::test]
async fn watchdog_is_fed_from_start_to_stop() {
    let world = World::new().await;
    world.script(QUICK, "");
    let mut heard = Heard::new(&world);
    let daemon = world.start_with(&[("NOTIFY_SOCKET", &socket(&world)), ("WATCHDOG_USEC", "300000")]);
    let fed = |said: &str| said.matches("WATCHDOG=1\n").count();
    eventually("it is fed", || fed(heard.all()) > 3 && heard.all().contains("READY=1")).await;
    // A stopped process sends no watchdog messages, and resumes when it continues.
    daemon.signal("STOP").await;
    let status = format!("/proc/{}/status", daemon.pid());
    eventually("it stands still", || {
        std::fs::read_to_string(&status).is_ok_and(|status| status.contains("State:\tT"))
    })
    .await;
    let before = fed(heard.all());
    daemon.signal("CONT").await;
    eventually("it is fed again", || fed(heard.all()) > before).await;
    daemon.stop().await;
    assert!(heard.all().contains("STOPPING=1"), "{}", heard.said);
}

/// A Bridge that accepts requests but never answers must not prevent the machine from booting.
#[tokio::test]
async fn unresponsive_bridge_does_not_block_service_readiness() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.sandbox.add_fault(Fault::new(Effect::Stall(Duration::from_hours(1))));
    let mut heard = Heard::new(&world);
    let daemon = world.start_with(&[("NOTIFY_SOCKET", &socket(&world))]);
    let began = tokio::time::Instant::now();
    eventually("it is ready", || heard.all().contains("READY=1")).await;
    assert!(began.elapsed().as_secs() < 45, "systemd would wait for 90 seconds: {:?}", began.elapsed());
    assert!(!heard.all().contains("STATUS=connected"), "{}", heard.said);
    assert!(heard.all().contains("STATUS=") && heard.said.contains("hr"), "{}", heard.said);
    daemon.stop().await;
}

#[tokio::test]
async fn startup_waits_for_disk_space_and_extends_the_timeout() {
    let world = World::new().await;
    world.script(QUICK, "");
    let configuration = world.read("bridgehead.toml").replace("path = \"state\"", "path = \"disk/state\"");
    world.write("bridgehead.toml", &configuration);
    world.write("disk/nothing", "");
    let mut heard = Heard::new(&world);
    // A separate file system that is full.
    let disk = world.path("disk");
    let full = "mount -t tmpfs -o size=4m tmpfs \"$DISK\" && ! cat /dev/zero 2>/dev/null >\"$DISK/ballast\" && exec \"$0\" \"$@\"";
    let inner = behind(&world, full);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]).arg(inner.get_program()).args(inner.get_args());
    command
        .env("IDEN_API_KEY", KEY)
        .env("NOTIFY_SOCKET", socket(&world))
        .env("DISK", &disk)
        .stdin(Stdio::null());
    let daemon = World::started(command);
    daemon.says("the daemon cannot start").await;
    eventually("systemd knows", || heard.all().contains("EXTEND_TIMEOUT_USEC=30000000")).await;
    assert!(heard.all().contains("STATUS=") && !heard.said.contains("READY=1"), "{}", heard.said);
    let ballast = disk.join("ballast");
    let ballast = format!("/proc/{}/root{}", daemon.pid(), ballast.display());
    std::fs::remove_file(ballast).expect("there is room again");
    eventually("it starts", || heard.all().contains("READY=1")).await;
    let task = world.task_for("create_account", serde_json::json!("ann"));
    world.drained().await;
    assert_eq!(world.applied(&task), 1);
    daemon.stop().await;
}

/// SQLite reports only that it cannot open a file. systemd would start the daemon again and again, with no reason in its log.
#[tokio::test]
async fn startup_waits_for_free_inodes() {
    let world = World::new().await;
    world.script(QUICK, "");
    let before = world.start();
    before.says("ready").await;
    before.stop().await;
    let configuration = world.read("bridgehead.toml").replace("path = \"state\"", "path = \"disk/state\"");
    world.write("bridgehead.toml", &configuration);
    world.write("disk/nothing", "");
    // A separate file system with this state, on which no other file can be created.
    let full = "mount -t tmpfs -o nr_inodes=40 tmpfs \"$DISK\" && cp -a \"$STATE\" \"$DISK/state\" && \
                mkdir \"$DISK/ballast\" && while touch \"$DISK/ballast/$((n += 1))\" 2>/dev/null; do :; done; exec \"$0\" \"$@\"";
    let inner = behind(&world, full);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]).arg(inner.get_program()).args(inner.get_args());
    let disk = world.path("disk");
    command
        .env("IDEN_API_KEY", KEY)
        .env("DISK", &disk)
        .env("STATE", world.path("state"))
        .stdin(Stdio::null());
    let daemon = World::started(command);
    daemon.says("the daemon cannot start: no space left").await;
    let ballast = format!("/proc/{}/root{}", daemon.pid(), disk.join("ballast").display());
    std::fs::remove_dir_all(ballast).expect("there is room again");
    daemon.says("ready").await;
    let task = world.task_for("create_account", serde_json::json!("ann"));
    world.drained().await;
    assert_eq!(world.applied(&task), 1);
    let log = daemon.stop().await;
    assert!(!log.contains("out of date"), "{log}");
}

#[tokio::test]
async fn journald_receives_the_priority_of_each_line() {
    let world = World::new().await;
    world.script(QUICK, "");
    let configuration = world.read("bridgehead.toml");
    world.write("bridgehead.toml", &format!("{configuration}\n[log]\nformat = \"json\"\n"));
    // The way in which systemd says which stream is the journal.
    let journal =
        "JOURNAL_STREAM=$(stat --dereference --format=%d:%i /proc/self/fd/2) exec setsid \"$0\" \"$@\"";
    let daemon = World::started(behind(&world, journal));
    daemon.says("ready").await;
    world.write("bridgehead.toml", "[bridge]\n");
    daemon.signal("HUP").await;
    daemon.says("the configuration is not reloaded").await;
    let log = daemon.stop().await;
    let levels: BTreeSet<(&str, String)> = log
        .lines()
        .map(|line| {
            let (priority, event) = line.split_once('>').unwrap_or_else(|| panic!("no priority: {line}"));
            let event: serde_json::Value = serde_json::from_str(event).expect("JSON behind the priority");
            (priority, event["level"].as_str().expect("a level").to_owned())
        })
        .collect();
    assert_eq!(levels, [("<3", "ERROR".to_owned()), ("<6", "INFO".to_owned())].into());

    // Messages that end the daemon have an error priority, too.
    let mut daemon = World::started(behind(&world, journal));
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(78));
    eventually("it says why", || daemon.log().contains("base_url")).await;
    assert!(daemon.log().lines().all(|line| line.starts_with("<3>")), "{}", daemon.log());

    // The variable alone proves nothing: a unit's output may be redirected to a file.
    let elsewhere = "JOURNAL_STREAM=1:1 exec \"$0\" \"$@\"";
    let mut daemon = World::started(behind(&world, elsewhere));
    daemon.ended().await;
    eventually("it says why", || daemon.log().contains("base_url")).await;
    assert!(!daemon.log().contains('<'), "{}", daemon.log());
}
