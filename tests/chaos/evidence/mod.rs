//! Checks the ledgers of the sandbox and of the target against the guarantees.

pub(crate) mod ledger;
pub(crate) mod people;
pub(crate) mod rules;
pub(crate) mod syncs;

use std::fmt::Write as _;

use bridgehead::sandbox::Sandbox;
use uuid::Uuid;

use ledger::Ledger;
use people::Wish;

/// A violated guarantee.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    /// The task concerned, if any.
    pub(crate) task: Option<String>,
    pub(crate) what: String,
}

/// All the evidence to check.
pub(crate) struct Evidence<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) app: Uuid,
    pub(crate) wishes: &'a [Wish],
    pub(crate) ledger: &'a Ledger,
    /// Whether the daemon lost part of its state: a task may then be reported differently than in an earlier report that was not accepted.
    pub(crate) state_was_damaged: bool,
    /// Whether the whole state folder was replaced by an older copy: the copy contains its own witnesses, so the daemon cannot detect this.
    pub(crate) state_was_replaced: bool,
}

impl Evidence<'_> {
    /// The history of a task from all ledgers, in chronological order.
    pub(crate) fn story(&self, task: &str) -> String {
        let mut lines: Vec<(i128, String)> = Vec::new();
        let of = self.wishes.iter().find(|wish| wish.id == task);
        let who = of.map(|wish| wish.username.as_str()).unwrap_or_default();
        for event in &self.ledger.events {
            if event.task() == Some(task) || (!who.is_empty() && event.is_about(who)) {
                let mark = if event.task() == Some(task) { "target " } else { "target~" };
                lines.push((event.at, format!("{mark} {}", event.raw)));
            }
        }
        for report in self.sandbox.reports(task) {
            let text = format!(
                "report  answered {:?}, handled {:?}: {}",
                report.status, report.handled, report.body
            );
            lines.push((report.time.as_nanosecond(), text));
        }
        lines.sort_by_key(|(at, _)| *at);
        let mut story = of.map(|wish| format!("{wish:?}\n")).unwrap_or_default();
        let begin = lines.iter().map(|(at, _)| *at).find(|at| *at > 0).unwrap_or_default();
        for (at, text) in lines {
            writeln!(story, "  {:>8} ms  {text}", (at - begin) / 1_000_000)
                .expect("a string takes everything");
        }
        story
    }
}
