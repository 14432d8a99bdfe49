//! The next commands to type.

use std::path::Path;

use super::super::args::Global;
use super::super::print;
use super::place::Place;
use bridgehead_sandbox::Sandbox;

/// The locations of the unit file, which exists if systemd starts the daemon.
const UNITS: [&str; 2] =
    ["/usr/lib/systemd/system/bridgehead.service", "/etc/systemd/system/bridgehead.service"];

/// The next steps.
pub(super) struct Next<'a> {
    pub(super) place: &'a Place,
    pub(super) name: &'a str,
    pub(super) app_id: &'a str,
    pub(super) sandbox: Option<&'a Sandbox>,
    /// Whether a daemon with the rest of the configuration runs.
    pub(super) is_running: bool,
}

impl Next<'_> {
    pub(super) fn commands(&self) -> Vec<String> {
        self.steps().into_iter().map(|(command, _)| command).collect()
    }

    /// The commands, and whether `init` has already done the same.
    fn steps(&self) -> Vec<(String, bool)> {
        let with = if self.place.is_usual() {
            String::new()
        } else {
            format!(" --config {}", quoted(&self.place.configuration().to_string_lossy()))
        };
        let name = self.name;
        let own = |command: String, is_done: bool| (format!("bridgehead{with} {command}"), is_done);
        let sandbox = self.sandbox.map(|sandbox| {
            let command =
                format!("bridgehead sandbox --listen {} --app {} &", sandbox.address(), self.app_id);
            (command, false)
        });
        let is_service = self.place.is_usual() && is_service(&UNITS);
        let begin = match (self.is_running, is_service) {
            (true, _) => own("reload".to_owned(), false),
            // Run from a shell, `run` would not use the service's user.
            (false, true) => ("systemctl enable --now bridgehead".to_owned(), false),
            (false, false) => own("run".to_owned(), false),
        };
        // The check that was made as this user says nothing about what the unit allows: it can write to no folder but its own.
        let as_service = is_service.then(|| own(format!("check {name}"), false));
        let before = [own(format!("check {name}"), true), own(format!("sync --dry-run {name}"), true), begin];
        let steps = before.into_iter().chain(as_service).chain([
            // A name after the flag would be parsed as its value.
            own(format!("sync {name} --allow-removals"), false),
        ]);
        sandbox.into_iter().chain(steps).collect()
    }

    /// Prints them; `was_checked` is whether the check and the dry run succeeded.
    pub(super) fn say(&self, global: &Global, heading: &str, was_checked: bool) {
        if global.json {
            return;
        }
        print::line(format!("\n{heading}"));
        for (command, is_done) in self.steps() {
            if !(was_checked && is_done) {
                print::command(command);
            }
        }
        if was_checked {
            print::line(
                "The first sync is held until you allow it with the last of these commands (sync.first = \"ask\").",
            );
        }
    }
}

/// Whether the unit is installed.
fn is_service(units: &[&str]) -> bool {
    units.iter().any(|unit| Path::new(unit).exists())
}

/// A path quoted for a shell.
fn quoted(path: &str) -> String {
    let plain = |one: char| one.is_alphanumeric() || "/._-+:@".contains(one);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}
