//! Shows what the kit is doing, and each result as it arrives.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_conformance::{Check, Observer, Outcome};
use bridgehead_sdk::Redactor;
use indicatif::{ProgressBar, ProgressStyle};

use super::super::print;
use super::show;

/// A progress bar on a terminal, nothing elsewhere.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Shows nothing unless it is `wanted`.
    pub(super) fn new(wanted: bool) -> Self {
        Self((wanted && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::no_length();
            let template = "{spinner} {elapsed} {prefix}; {pos} calls; {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        }))
    }

    /// Shows a call.
    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
            bar.set_message(what());
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Prints each result as it arrives: as a line of JSON, as failures above the bar, or without a terminal as a line per check.
pub(super) struct Results<'a> {
    pub(super) app: &'a str,
    pub(super) json: bool,
    pub(super) redactor: &'a Redactor,
    pub(super) progress: Arc<Progress>,
}

impl Observer for Results<'_> {
    fn begins(&self, check: &'static str, number: usize, of: usize) {
        if let Some(bar) = &self.progress.0 {
            bar.set_prefix(format!("{number}/{of} {check}"));
        }
    }

    fn ends(&self, check: &Check) {
        if self.json {
            print::json_line(&show::result(self.app, self.redactor, check));
            return;
        }
        let seconds = check.took.as_secs_f64();
        match (&check.outcome, &self.progress.0) {
            (Outcome::Failed(_), Some(bar)) => bar.println(format!("failed   {}", check.name)),
            (_, Some(_)) => {}
            (outcome, None) => {
                print::complain(format!("{:<8} {} ({seconds:.1} s)", show::word(outcome), check.name));
            }
        }
    }
}
