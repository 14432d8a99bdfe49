//! The package for Debian, on a machine without systemd: what it installs, prints and leaves behind.

use std::process::Command;

use crate::machine::Machine;
use crate::made::{Made, run};

/// All files except manual pages and documentation.
const FILES: [&str; 9] = [
    "/etc/bridgehead/bridgehead.toml",
    "/usr/bin/bridgehead",
    "/usr/lib/systemd/system/bridgehead.service",
    "/usr/lib/systemd/system/bridgehead@.service",
    "/usr/lib/sysusers.d/bridgehead.conf",
    "/usr/lib/tmpfiles.d/bridgehead.conf",
    "/usr/share/bash-completion/completions/bridgehead",
    "/usr/share/fish/vendor_completions.d/bridgehead.fish",
    "/usr/share/zsh/vendor-completions/_bridgehead",
];

#[test]
fn a_package_is_installed_upgraded_removed_and_purged_and_says_each_time_what_happens() {
    let made = Made::new();
    let (old, new) = (made.make("deb", "0.0.9"), made.make("deb", "0.1.0"));
    let machine = Machine::idle();
    let (old, new) = (machine.bring(&old), machine.bring(&new));

    let installed = machine.run(&format!("dpkg --install {old}"));
    assert!(installed.contains("bridgehead is installed, and nothing was started."), "{installed}");
    assert!(!machine.has("/etc/systemd/system/multi-user.target.wants"), "it is not enabled");
    assert_eq!(machine.say("bridgehead --version"), format!("bridgehead {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(machine.say("stat -c '%U %G %a' /var/lib/bridgehead"), "bridgehead bridgehead 700");
    let user = machine.say("getent passwd bridgehead");
    assert!(user.ends_with(":/var/lib/bridgehead:/usr/sbin/nologin"), "{user}");

    // Exactly the packed files are installed, readable by every user and owned by root.
    let listed = machine.run("dpkg --listfiles bridgehead");
    let is_file = |path: &&str| machine.path(path).is_file();
    let (documents, files): (Vec<&str>, Vec<&str>) =
        listed.lines().filter(is_file).partition(|path| path.starts_with("/usr/share/doc/bridgehead/"));
    let (pages, files): (Vec<&str>, Vec<&str>) =
        files.into_iter().partition(|path| path.starts_with("/usr/share/man/man1/bridgehead"));
    let mut files = files;
    files.sort_unstable();
    assert_eq!(files, FILES);
    assert!(
        pages.len() > 15 && pages.contains(&"/usr/share/man/man1/bridgehead-tasks-list.1.gz"),
        "{pages:?}"
    );
    for document in [
        "copyright",
        "docs/operator.md",
        "examples/ldap-ad.toml",
        "examples/bridgehead.toml",
        "html/index.html",
        "html/docs/start.html",
    ] {
        let path = format!("/usr/share/doc/bridgehead/{document}");
        assert!(documents.contains(&path.as_str()), "{document} is missing");
    }
    machine.run("dpkg --verify bridgehead");
    let strange = "dpkg --listfiles bridgehead | xargs stat -c '%U %G %A %n' | \
        grep -Ev '^root root (-rw-r--r--|-rwxr-xr-x|drwxr-xr-x|lrwxrwxrwx) ' || true";
    assert_eq!(machine.say(strange), "");
    // Its configuration is complete except for values that only the operator knows.
    let check = machine.output("bridgehead check --offline");
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(check.status.code() == Some(78) && said.contains("base_url"), "{said}");

    // An upgrade keeps the operator's changes and the daemon's state.
    machine.run("echo '# mine' >>/etc/bridgehead/bridgehead.toml; echo key >/etc/bridgehead/iden-api-key");
    machine.run("echo state >/var/lib/bridgehead/tasks.db; chown bridgehead: /var/lib/bridgehead/tasks.db");
    let upgraded = machine.run(&format!("dpkg --install {new}"));
    assert!(!upgraded.contains("nothing was started") && !upgraded.contains("removing"), "{upgraded}");
    assert_eq!(machine.say("tail -n 1 /etc/bridgehead/bridgehead.toml"), "# mine");
    assert_eq!(machine.say("cat /var/lib/bridgehead/tasks.db"), "state");

    let removed = machine.run("dpkg --remove bridgehead");
    for kept in ["/etc/bridgehead", "/var/lib/bridgehead", "the user bridgehead"] {
        assert!(removed.contains(&format!("\n  {kept}")), "{removed}");
    }
    assert!(!machine.has("/usr/bin/bridgehead") && !machine.has("/usr/share/doc/bridgehead"));
    assert_eq!(machine.say("cat /var/lib/bridgehead/tasks.db /etc/bridgehead/iden-api-key"), "state\nkey");

    let purged = machine.run("dpkg --purge bridgehead");
    for gone in ["/etc/bridgehead/iden-api-key", "/var/lib/bridgehead/tasks.db"] {
        assert!(purged.contains(&format!("\n  {gone}")), "{purged}");
    }
    assert!(!machine.has("/etc/bridgehead") && !machine.has("/var/lib/bridgehead"));
    assert!(purged.contains("the user bridgehead stays"), "{purged}");
    machine.run("getent passwd bridgehead");
}

#[test]
fn the_same_commit_makes_the_same_package() {
    let made = [Made::new(), Made::new()];
    let sums = made.map(|made| {
        let package = made.make("deb", "0.1.0");
        let sums = std::fs::read_to_string(made.path("SHA256SUMS")).expect("the sums");
        run(Command::new("sha256sum")
            .arg("--check")
            .arg("SHA256SUMS")
            .current_dir(package.parent().expect("a folder")));
        sums
    });
    assert_eq!(sums[0], sums[1]);
}
