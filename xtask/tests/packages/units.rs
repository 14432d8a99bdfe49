//! The units, as `systemd-analyze` sees them.

use std::fs;
use std::process::Command;

use crate::made::{repository, run, said};

/// Features that systemd before version 254 does not know and ignores: settings, and a type that is followed by one that it knows.
const NEWER: [&str; 3] = ["RestartSteps", "RestartMaxDelaySec", "service type, ignoring: notify-reload"];

#[test]
fn the_daemon_is_exposed_to_one_point_of_ten_at_most() {
    let folder = tempfile::tempdir().expect("a folder");
    for (unit, name) in
        [("bridgehead.service", "bridgehead.service"), ("bridgehead@.service", "bridgehead@acme.service")]
    {
        let file = folder.path().join(name);
        fs::copy(repository().join("systemd").join(unit), &file).expect("a copy");
        // The threshold is in tenths.
        let rated = run(Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=10"])
            .arg(&file));
        let verdict = rated.lines().find(|line| line.contains("Overall exposure")).unwrap_or_default();
        let exposure = verdict.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
        let exposure: f64 = exposure.and_then(|number| number.parse().ok()).expect("a verdict");
        assert!(exposure > 0.0 && exposure <= 1.0, "{verdict}");
    }
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut checked = Vec::new();
    for unit in ["bridgehead.service", "bridgehead@.service"] {
        let text = fs::read_to_string(repository().join("systemd").join(unit)).expect("a unit");
        // The binary is not installed here.
        let text =
            text.replace("/usr/bin/bridgehead", "/bin/true").replace("man:bridgehead(1)", "man:true(1)");
        let file = folder.path().join(unit.replace('@', "@acme"));
        fs::write(&file, text).expect("a copy");
        checked.push(file);
    }
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&checked).output();
    let said = said(&output.expect("systemd-analyze is there: tests/install installs it"));
    // Units of this machine are read as well, and may have faults themselves.
    let ours = said.lines().filter(|line| line.contains("bridgehead"));
    let faults: Vec<&str> = ours.filter(|line| !NEWER.iter().any(|key| line.contains(key))).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A change to one unit must not be forgotten in the other.
#[test]
fn the_template_differs_from_the_unit_in_what_belongs_to_an_instance_alone() {
    let settings = |unit: &str| -> Vec<String> {
        let text = fs::read_to_string(repository().join("systemd").join(unit)).expect("a unit");
        text.lines().filter(|line| line.contains('=') && !line.starts_with('#')).map(str::to_owned).collect()
    };
    let unit: Vec<String> = settings("bridgehead.service")
        .into_iter()
        .map(|line| match line.as_str() {
            "Description=bridgehead: connects company systems to Iden" => {
                "Description=bridgehead %i: connects company systems to Iden".to_owned()
            }
            "Environment=BRIDGEHEAD_CONFIG=/etc/bridgehead"
            | "StateDirectory=bridgehead"
            | "ConfigurationDirectory=bridgehead" => {
                format!("{line}/%i")
            }
            line => line.replace("/etc/bridgehead/iden", "/etc/bridgehead/%i/iden"),
        })
        .collect();
    let mut template = settings("bridgehead@.service");
    template.retain(|line| {
        ![
            "TemporaryFileSystem=/var/lib/bridgehead:ro /etc/bridgehead:ro",
            "BindPaths=/var/lib/bridgehead/%i",
            "BindReadOnlyPaths=/etc/bridgehead/%i",
        ]
        .contains(&line.as_str())
    });
    assert_eq!(template, unit);
    assert!(unit.len() > 45, "{unit:?}");
}
