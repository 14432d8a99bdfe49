//! Progress of a sync: a bar on a terminal, lines otherwise.

use bridgehead_sdk::counted;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::task::AbortOnDropHandle;

use super::print;
use bridgehead_runtime::{AppStatus, SyncProgress};

/// Shows progress until it is dropped.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    _follow: AbortOnDropHandle<()>,
}

/// How often a line is printed if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

impl Progress {
    /// Follows the sync of an app. `expected` is the number of records of the last sync; 0 if it is unknown.
    pub(crate) fn follow(name: &str, status: &Arc<AppStatus>, expected: u64) -> Self {
        let mut updates = status.sync();
        if !std::io::stderr().is_terminal() {
            let name = name.to_owned();
            let follow = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LINE_EVERY).await;
                    let text = describe(&updates.borrow());
                    print::complain(format!("{name}: {text}"));
                }
            });
            return Self { bar: None, _follow: AbortOnDropHandle::new(follow) };
        }
        let bar = if expected > 0 { ProgressBar::new(expected) } else { ProgressBar::no_length() };
        let template = if expected > 0 {
            "{prefix} {bar:30} {pos}/{len} {msg}"
        } else {
            "{prefix} {spinner} {pos} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        let follow = tokio::spawn({
            let bar = bar.clone();
            async move {
                while updates.changed().await.is_ok() {
                    let now = updates.borrow_and_update().clone();
                    if !now.phase.is_empty() {
                        let done: u64 = now.pushed.values().sum::<u64>().max(now.listed.values().sum());
                        if bar.length().is_some_and(|length| done > length) {
                            bar.set_length(done);
                        }
                        bar.set_position(done);
                        bar.set_message(now.phase.clone());
                    }
                }
            }
        });
        Self { bar: Some(bar), _follow: AbortOnDropHandle::new(follow) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn describe(progress: &SyncProgress) -> String {
    let sums = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let read = counted(sums(&progress.listed), "record", "records");
    format!("{}; {read} read, {} pushed", progress.phase, sums(&progress.pushed))
}
