//! The package for Fedora and related systems, as `rpm` itself sees it.

use std::process::Command;

use crate::machine::Machine;
use crate::made::{Made, run};

#[test]
fn rpm_finds_the_package_sound_installs_upgrades_and_removes_it() {
    let made = Made::new();
    let (old, new) = (made.make("rpm", "0.0.9"), made.make("rpm", "0.1.0"));
    let checked = run(Command::new("rpm").args(["--checksig", "--verbose"]).arg(&new));
    assert!(checked.contains("Payload SHA256 digest: OK"), "{checked}");
    let about = run(Command::new("rpm").args(["--query", "--info", "--package"]).arg(&new));
    for line in ["Version     : 0.1.0", "License     : Apache-2.0", "Architecture: "] {
        assert!(about.contains(line), "{about}");
    }
    let needs = run(Command::new("rpm").args(["--query", "--requires", "--package"]).arg(&new));
    assert!(needs.contains("libc.so.6(GLIBC_"), "what it needs of the system is known: {needs}");
    let kept = run(Command::new("rpm").args(["--query", "--configfiles", "--package"]).arg(&new));
    assert_eq!(kept.trim(), "/etc/bridgehead/bridgehead.toml");

    let machine = Machine::idle();
    let (old, new) = (machine.bring(&old), machine.bring(&new));
    // On Debian, its database of installed packages is empty, so no dependency is in it.
    let installed = machine.run(&format!("rpm --install --nodeps {old}"));
    assert!(installed.contains("bridgehead is installed, and nothing was started."), "{installed}");
    assert!(!machine.has("/etc/systemd/system/multi-user.target.wants"), "it is not enabled");
    assert_eq!(machine.say("stat -c '%U %G %a' /var/lib/bridgehead"), "bridgehead bridgehead 700");
    machine.run("rpm --verify --nodeps bridgehead");
    machine.run("bridgehead --version");
    machine.run("test -s /usr/share/man/man1/bridgehead-tasks-list.1.gz");

    machine.run("echo '# mine' >>/etc/bridgehead/bridgehead.toml; echo key >/etc/bridgehead/iden-api-key");
    machine.run("echo state >/var/lib/bridgehead/tasks.db");
    let upgraded = machine.run(&format!("rpm --upgrade --nodeps {new}"));
    assert!(!upgraded.contains("nothing was started") && !upgraded.contains("removed"), "{upgraded}");
    assert_eq!(
        machine.say("rpm --query bridgehead"),
        format!("bridgehead-0.1.0-1.{}", std::env::consts::ARCH)
    );
    assert_eq!(machine.say("tail -n 1 /etc/bridgehead/bridgehead.toml"), "# mine");

    let removed = machine.run("rpm --erase bridgehead");
    assert!(removed.contains("These stay: /var/lib/bridgehead"), "{removed}");
    assert!(!machine.has("/usr/bin/bridgehead"));
    assert_eq!(machine.say("cat /var/lib/bridgehead/tasks.db /etc/bridgehead/iden-api-key"), "state\nkey");
    assert_eq!(machine.say("tail -n 1 /etc/bridgehead/bridgehead.toml.rpmsave"), "# mine");
}
