//! What to type next.

use super::super::args::Global;
use super::super::print;
use super::place::Place;
use bridgehead_sandbox::Sandbox;

/// What to do next.
pub(super) struct Next<'a> {
    pub(super) place: &'a Place,
    pub(super) name: &'a str,
    pub(super) app_id: &'a str,
    pub(super) sandbox: Option<&'a Sandbox>,
}

impl Next<'_> {
    pub(super) fn commands(&self) -> Vec<String> {
        self.steps().into_iter().map(|(command, _)| command).collect()
    }

    /// The commands, and whether `init` has done the same already.
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
        let steps = [
            own(format!("check {name}"), true),
            own(format!("sync --dry-run {name}"), true),
            own("run".to_owned(), false),
            // A name behind the flag would be its value.
            own(format!("sync {name} --allow-removals"), false),
        ];
        sandbox.into_iter().chain(steps).collect()
    }

    /// Prints them; `was_checked` says whether the check and the dry run have succeeded.
    pub(super) fn say(&self, global: &Global, heading: &str, was_checked: bool) {
        if global.json {
            return;
        }
        let shown = self.steps().into_iter().filter(|(_, is_done)| !(was_checked && *is_done));
        let shown: Vec<String> = shown.map(|(command, _)| format!("  {command}")).collect();
        print::line(format!("\n{heading}\n{}", shown.join("\n")));
        if was_checked {
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
