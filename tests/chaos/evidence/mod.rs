//! What the ledgers of the sandbox and of the target say, held against the promises.

pub(crate) mod ledger;
pub(crate) mod people;
pub(crate) mod rules;
pub(crate) mod syncs;

use std::fmt::Write as _;

use bridgehead::sandbox::Sandbox;
use uuid::Uuid;

use ledger::Ledger;
use people::Wish;

/// A promise that was not kept.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    /// The task it is about, if it is about one.
    pub(crate) task: Option<String>,
    pub(crate) what: String,
}

/// Everything there is to judge by.
pub(crate) struct Evidence<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) app: Uuid,
    pub(crate) wishes: &'a [Wish],
    pub(crate) ledger: &'a Ledger,
    /// The daemon lost what it had written down: then a task may be reported otherwise than in a report that was not taken.
    pub(crate) state_was_damaged: bool,
    /// Whether the whole state folder was an older copy: it holds its own witnesses, so nothing here can tell.
    pub(crate) state_was_replaced: bool,
}

impl Evidence<'_> {
    /// A task as all ledgers tell it, in the order of time.
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
