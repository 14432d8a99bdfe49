//! The package under a real systemd: started, reloaded, killed, upgraded, removed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::machine::Machine;
use crate::made::{Made, bridgehead};

const APPS: [&str; 2] = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];

/// An emulated Bridge API on loopback, which the copy of the machine shares.
struct Sandbox {
    child: Child,
    base_url: String,
}

impl Sandbox {
    fn start() -> Self {
        let mut child = Command::new(bridgehead())
            .args(["--json", "sandbox", "--listen", "127.0.0.1:0", "--app", APPS[0], "--app", APPS[1]])
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("the sandbox starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.find_map(|line| {
            let line = line.expect("text");
            Some(line.split_once("\"base_url\": \"")?.1.split('"').next()?.to_owned())
        });
        Self { child, base_url: line.expect("the sandbox says where it is") }
    }

    fn configuration(&self, app: &str, state: &str) -> String {
        format!(
            "[bridge]\nbase_url = \"{}\"\napi_key = {{ credential = \"iden-api-key\" }}\n\n[state]\npath = \"{state}\"\n\n\
             [apps.hr]\napp_id = \"{app}\"\nconnector = \"simulated\"\nregister_resource_types = true\n\
             [apps.hr.sync]\nenabled = false\n[apps.hr.target]\naccounts = 3\n",
            self.base_url
        )
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn property(machine: &Machine, unit: &str, name: &str) -> String {
    machine.say(&format!("systemctl show --property={name} --value {unit}"))
}

#[test]
fn the_service_runs_under_systemd_from_the_first_start_to_the_purge() {
    let made = Made::new();
    let (old, new) = (made.make("deb", "0.0.9"), made.make("deb", "0.1.0"));
    let sandbox = Sandbox::start();
    let machine = Machine::booted();
    let (old, new) = (machine.bring(&old), machine.bring(&new));

    machine.run(&format!("dpkg --install {old}"));
    assert_eq!(property(&machine, "bridgehead", "ActiveState"), "inactive");
    assert_eq!(property(&machine, "bridgehead", "UnitFileState"), "disabled");

    // The unedited configuration is invalid, and retrying would not help.
    let started = machine.output("systemctl start bridgehead");
    assert!(!started.status.success());
    assert_eq!(property(&machine, "bridgehead", "ExecMainStatus"), "78");
    assert_eq!(property(&machine, "bridgehead", "ActiveState"), "failed");
    // There is no key yet either; a command that root runs before the first start must not lock the daemon out.
    machine.write("/etc/bridgehead/bridgehead.toml", &sandbox.configuration(APPS[0], "/var/lib/bridgehead"));
    let early = machine.output("CREDENTIALS_DIRECTORY=/root bridgehead sync --dry-run");
    assert!(!early.status.success(), "there is no key");
    let started = machine.output("systemctl start bridgehead");
    assert!(!started.status.success());
    assert_eq!(
        property(&machine, "bridgehead", "ExecMainStatus"),
        "78",
        "{}",
        machine.run("journalctl -u bridgehead")
    );
    machine.run("umask 077; printf sandbox-key >/etc/bridgehead/iden-api-key");
    machine.run("CREDENTIALS_DIRECTORY=/etc/bridgehead bridgehead check");
    let early = machine.run("CREDENTIALS_DIRECTORY=/etc/bridgehead bridgehead sync --dry-run");
    assert!(early.contains("account"), "{early}");

    // `systemctl` returns when the daemon is ready, and its status is shown.
    machine.run("systemctl enable --now bridgehead");
    assert_eq!(property(&machine, "bridgehead", "ActiveState"), "active");
    assert_eq!(property(&machine, "bridgehead", "StatusText"), "connected to the Bridge");
    let pid = property(&machine, "bridgehead", "MainPID");
    assert_eq!(machine.say(&format!("stat -c %U /proc/{pid}")), "bridgehead");
    assert!(machine.run("bridgehead status").contains("hr"));
    assert_eq!(machine.say("find /var/lib/bridgehead ! -user bridgehead"), "");

    // A reload without changes only causes a log message, with its priority.
    machine.run("systemctl kill --signal=HUP --kill-whom=main bridgehead");
    let warned = "journalctl -u bridgehead -p info..info -o cat | grep -c 'the configuration is reloaded; nothing has changed' || true";
    machine.until(warned, "1");
    assert_eq!(property(&machine, "bridgehead", "MainPID"), pid);
    let log = machine.run("journalctl -u bridgehead -o cat");
    assert!(!log.contains("<6>") && !log.contains("<4>"), "{log}");
    let found = machine.run("journalctl -u bridgehead -o cat BRIDGEHEAD_FOLDER=/var/lib/bridgehead");
    assert_eq!(found.trim(), "the state folder is new folder=/var/lib/bridgehead");
    let wrong = machine.run("journalctl -u bridgehead -p err..err -o cat");
    assert!(wrong.contains("bridge.base_url: missing"), "{wrong}");

    // A second daemon on the same machine sees neither its state nor its configuration.
    machine.write(
        "/etc/bridgehead/acme/bridgehead.toml",
        &sandbox.configuration(APPS[1], "/var/lib/bridgehead/acme"),
    );
    machine
        .run("cp /etc/bridgehead/iden-api-key /etc/bridgehead/acme/; systemctl enable --now bridgehead@acme");
    assert_eq!(property(&machine, "bridgehead@acme", "StatusText"), "connected to the Bridge");
    let other = property(&machine, "bridgehead@acme", "MainPID");
    for folder in ["/var/lib/bridgehead", "/etc/bridgehead"] {
        assert_eq!(machine.say(&format!("ls -A /proc/{other}/root{folder}")), "acme");
    }
    assert!(machine.run("bridgehead --config /etc/bridgehead/acme status").contains("hr"));

    // It is restarted regardless of what ended it.
    machine.run("systemctl kill --signal=KILL --kill-whom=main bridgehead");
    machine.until("systemctl show --property=NRestarts --value bridgehead", "1");
    machine.until("systemctl is-active bridgehead", "active");

    // The state continues with a new daemon process, for both units.
    let identity = machine.run("ls -i /var/lib/bridgehead/*.db; cat /var/lib/bridgehead/witness");
    let pids = ["bridgehead", "bridgehead@acme"].map(|unit| property(&machine, unit, "MainPID"));
    machine.run(&format!("dpkg --install {new}"));
    for (unit, before) in ["bridgehead", "bridgehead@acme"].into_iter().zip(pids) {
        assert_eq!(property(&machine, unit, "ActiveState"), "active");
        assert_ne!(property(&machine, unit, "MainPID"), before);
        assert_eq!(property(&machine, unit, "StatusText"), "connected to the Bridge");
    }
    assert!(identity.contains(".db"), "{identity}");
    assert_eq!(machine.run("ls -i /var/lib/bridgehead/*.db").lines().next(), identity.lines().next());
    let log = machine.run("journalctl -u bridgehead -o cat");
    assert!(log.contains("bridgehead has stopped"), "it was stopped in order: {log}");
    assert!(!log.contains("sandbox-key"), "{log}");

    let removed = machine.run("dpkg --remove bridgehead");
    assert!(removed.contains("/var/lib/bridgehead"), "{removed}");
    assert_eq!(machine.say("ps -C bridgehead -o pid= || true"), "");
    assert_eq!(machine.say("find /etc/systemd/system -name 'bridgehead*'"), "", "it is not enabled any more");
    assert!(machine.has("/var/lib/bridgehead/acme") && machine.has("/etc/bridgehead/acme/iden-api-key"));
    machine.run("dpkg --purge bridgehead");
    assert!(!machine.has("/var/lib/bridgehead") && !machine.has("/etc/bridgehead"));
}

/// The way of the book: install, `init`, and what it says to type next.
#[test]
fn what_init_writes_after_the_installation_is_what_the_service_runs_with() {
    let made = Made::new();
    let package = made.make("deb", "0.1.0");
    let sandbox = Sandbox::start();
    let machine = Machine::booted();
    let package = machine.bring(&package);
    let installed = machine.run(&format!("dpkg --install {package}"));
    assert!(installed.contains("1. bridgehead init"), "{installed}");

    // The key is typed, so that it is kept where the service's user can read it.
    let answers = format!(
        "printf 'sandbox-key\\nyes\\n' | bridgehead init --connector simulated --name hr --accounts 20 \
         --iden-url {} --app {}",
        sandbox.base_url, APPS[0]
    );
    let told = machine.run(&answers);
    assert!(told.contains("rehearsed") && !told.contains("sandbox-key"), "{told}");
    let next = ["systemctl enable --now bridgehead", "bridgehead sync hr --allow-removals"];
    assert!(next.iter().all(|command| told.contains(&format!("\n  {command}\n"))), "{told}");
    let files = machine.say("ls /etc/bridgehead | tr '\\n' ' '");
    assert_eq!(files.trim(), "bridgehead.toml daemon.toml hr.toml iden-api-key");
    assert_eq!(machine.say("stat -c '%U %a' /etc/bridgehead/iden-api-key"), "bridgehead 600");
    machine.run("dpkg --verify bridgehead");

    for command in next {
        machine.run(command);
    }
    assert_eq!(property(&machine, "bridgehead", "ActiveState"), "active");
    let status = machine.run("bridgehead status");
    assert!(status.contains("All good.") && status.contains("completed"), "{status}");
    let audit = machine.run("bridgehead audit show --app hr && bridgehead audit verify");
    assert!(audit.contains("sync, allowing what was shown"), "{audit}");
    assert!(audit.contains("root (uid 0)") && audit.contains("The chain is unbroken"), "{audit}");
}

/// Units before the first package had `DynamicUser=`, which keeps the state elsewhere.
#[test]
fn the_state_of_a_dynamic_user_is_taken_over() {
    let made = Made::new();
    let package = made.make("deb", "0.1.0");
    let machine = Machine::booted();
    let package = machine.bring(&package);
    let private = "/var/lib/private/bridgehead";
    machine.run(&format!("mkdir -p -m 700 /var/lib/private {private}; echo old >{private}/tasks.db"));
    machine.run(&format!("chown -R 61234:61234 {private}; ln -s private/bridgehead /var/lib/bridgehead"));
    machine.run(&format!("dpkg --install {package}"));
    assert_eq!(machine.say("cat /var/lib/bridgehead/tasks.db"), "old");
    // The configuration is not edited, so the daemon ends immediately; the folder is prepared before it starts.
    machine.output("systemctl start bridgehead");
    assert_eq!(property(&machine, "bridgehead", "ExecMainStatus"), "78");
    assert!(machine.path("/var/lib/bridgehead").symlink_metadata().expect("the folder").is_dir());
    assert_eq!(machine.say("cat /var/lib/bridgehead/tasks.db"), "old");
    assert_eq!(machine.say("find /var/lib/bridgehead ! -user bridgehead"), "");
}
