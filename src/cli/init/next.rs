//! What to type next.

use super::super::args::Global;
use super::super::print;
use super::place::Place;
use bridgehead_sandbox::Sandbox;

/// The flag that completes the first sync, which `sync.first = "ask"` holds.
const ALLOWED: &str = "--allow-removals";
const ALLOW: &str = "sync --allow-removals";

/// What to do next.
pub(super) struct Next<'a> {
    pub(super) place: &'a Place,
    pub(super) name: &'a str,
    pub(super) app_id: &'a str,
    pub(super) sandbox: Option<&'a Sandbox>,
}

impl Next<'_> {
    pub(super) fn commands(&self) -> Vec<String> {
        let with = if self.place.is_usual() {
            String::new()
        } else {
            format!(" --config {}", quoted(&self.place.configuration().to_string_lossy()))
        };
        let sandbox = self.sandbox.map(|sandbox| {
            format!("bridgehead sandbox --listen {} --app {} &", sandbox.address(), self.app_id)
        });
        let own = ["check", "sync --dry-run", "run", ALLOW].map(|what| {
            let name = if what == "run" { String::new() } else { format!(" {}", self.name) };
            match what.split_once(' ') {
                // A name behind the flag would be its value.
                Some((what, flag)) if flag == ALLOWED => format!("bridgehead{with} {what}{name} {flag}"),
                _ => format!("bridgehead{with} {what}{name}"),
            }
        });
        sandbox.into_iter().chain(own).collect()
    }

    pub(super) fn say(&self, global: &Global, heading: &str) {
        if global.json {
            return;
        }
        let commands = self.commands();
        let is_done = heading.starts_with("Next");
        let shown = commands.iter().filter(|command| {
            !is_done || command.ends_with(" run") || command.ends_with('&') || command.ends_with(ALLOWED)
        });
        let shown: Vec<String> = shown.map(|command| format!("  {command}")).collect();
        print::line(format!("\n{heading}\n{}", shown.join("\n")));
        if is_done {
            print::line(
                "The first sync is held until the last of these commands allows what was shown (sync.first = \"ask\").",
            );
        }
    }
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |one: char| one.is_alphanumeric() || "/._-+:@".contains(one);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}
