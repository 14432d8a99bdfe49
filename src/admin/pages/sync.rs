//! `/apps/NAME/syncs/ID`: one sync, and the affected records if they are known.

use std::collections::BTreeSet;

use serde::Serialize;

use super::lists::mood;
use super::overview::path_of;
use super::parts::{Frame, Line, Table};
use super::render;
use crate::admin::actions::{losers, lost};
use crate::admin::summary::{self, Severity, grouped};
use bridgehead_runtime::ShownRemovals;
use bridgehead_store::{RecordedRun, RunResult};

/// The maximum number of affected records that are listed.
const ALL: usize = 1000;

#[derive(Serialize)]
struct Page {
    heading: String,
    name: String,
    path: String,
    mood: &'static str,
    result: &'static str,
    lines: Vec<Line>,
    types: Option<Table>,
    shown: Option<ShownTable>,
}

/// A table of records and their losses.
#[derive(Serialize)]
pub(super) struct ShownTable {
    heading: String,
    text: String,
    counts: Vec<String>,
    people: Option<Table>,
    more: Option<String>,
}

/// Renders the page.
pub(in crate::admin) fn sync(
    frame: &Frame,
    name: &str,
    recorded: &RecordedRun,
    shown: Option<&ShownRemovals>,
) -> Result<String, minijinja::Error> {
    let run = &recorded.run;
    let is_completed = run.result == RunResult::Completed;
    let slugs: BTreeSet<&str> = run.pushed.keys().chain(run.removed.keys()).map(|slug| &**slug).collect();
    let of = |counts: &std::collections::BTreeMap<String, u64>, slug: &str| {
        grouped(counts.get(slug).copied().unwrap_or(0))
    };
    let rows: Vec<Vec<String>> = slugs
        .iter()
        .map(|slug| vec![(*slug).to_owned(), of(&run.pushed, slug), of(&run.removed, slug)])
        .collect();
    let gone = if is_completed { "Removed" } else { "Removals held" };
    let page = Page {
        heading: format!("Sync #{} of {name}", recorded.id),
        name: name.to_owned(),
        path: path_of(name),
        mood: mood(run.result).as_str(),
        result: run.result.as_str(),
        lines: vec![
            Line::new("Began", Severity::Quiet, summary::clock(run.started_at)),
            Line::new("Ended", Severity::Quiet, summary::clock(run.ended_at)),
            Line::new("Took", Severity::Quiet, summary::long(run.ended_at.duration_since(run.started_at))),
            Line {
                is_wide: true,
                ..Line::new("Detail", Severity::Quiet, super::parts::sentence(&run.detail))
            },
        ],
        types: (!rows.is_empty()).then(|| {
            let heads = [("Type", ""), ("Read from the target", "number"), (gone, "number")];
            Table { is_stacked: true, ..Table::of("Records by type", &heads, rows) }
        }),
        // The shown losses belong to this sync if they were recorded between its start and its end.
        shown: shown
            .filter(|shown| !shown.dry_run && is_of(shown, recorded))
            .map(|shown| removals(shown, frame, ALL)),
    };
    render("sync.html", &format!("Sync #{} of {name} – bridgehead", recorded.id), frame, page)
}

fn is_of(shown: &ShownRemovals, recorded: &RecordedRun) -> bool {
    shown.at >= recorded.run.started_at && shown.at <= recorded.run.ended_at
}

/// The losses that a dry run or a held sync has shown.
pub(super) fn removals(shown: &ShownRemovals, frame: &Frame, most: usize) -> ShownTable {
    let people = losers(shown, most);
    let heading = if shown.dry_run { "What a sync would remove" } else { "What the held sync would remove" };
    let held: Vec<&str> = shown.held_because.iter().map(|reason| because(*reason)).collect();
    let because =
        if held.is_empty() { String::new() } else { format!(" It is held because {}.", held.join(", and ")) };
    let more = if !frame.is_signed_in {
        Some(if frame.can_sign_in {
            "Sign in to see who they are.".to_owned()
        } else {
            "Names are shown to those who sign in, which needs [admin] token in the configuration.".to_owned()
        })
    } else if people.more > 0 {
        Some(format!("And {} more.", grouped(people.more)))
    } else {
        None
    };
    let heads: Vec<(&'static str, &'static str)> =
        people.columns.iter().map(|column| (*column, "")).collect();
    let mut table = Table::of(people.heading, &heads, people.rows);
    table.is_stacked = true;
    ShownTable {
        heading: heading.to_owned(),
        text: format!("As seen {}.{because}", summary::clock(shown.at)),
        counts: shown
            .losses
            .iter()
            .map(|loss| {
                format!(
                    "{}: {} of {} {}",
                    loss.resource_type,
                    grouped(loss.count),
                    grouped(loss.of),
                    lost(loss.kind)
                )
            })
            .collect(),
        people: (frame.is_signed_in && !table.rows.is_empty()).then_some(table),
        more,
    }
}

/// Why a sync is held, as the end of a sentence.
fn because(reason: bridgehead_runtime::sync::HeldReason) -> &'static str {
    use bridgehead_runtime::sync::HeldReason::{AccessGuard, FirstSync, LostState, NotProven, StaleState};
    match reason {
        AccessGuard => "it would remove more than the removal guard allows",
        LostState => "no completed sync is known here and Iden may have records",
        StaleState => "Iden has seen a later sync than the last one known here",
        FirstSync => "it is the first sync of the app and sync.first is \"ask\"",
        NotProven => "there is no proof that a listing is complete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_runtime::sync::{HeldReason, LossSummary, LostRecord, SyncResult};
    use bridgehead_store::{LossKind, Run};

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(second).unwrap()
    }

    fn recorded() -> RecordedRun {
        let run = Run {
            started_at: at(100),
            ended_at: at(190),
            result: RunResult::Held,
            reason: None,
            detail: "too many <b>would</b> go".into(),
            cause: None,
            pushed: [("account".to_owned(), 20_000)].into(),
            removed: [("account".to_owned(), 30), ("team".to_owned(), 1)].into(),
        };
        RecordedRun { id: 7, run }
    }

    fn shown(second: i64) -> ShownRemovals {
        let records = vec![LostRecord {
            id: "<i>u1".into(),
            name: Some("Ann Example".into()),
            ..LostRecord::default()
        }];
        ShownRemovals {
            at: at(second),
            result: SyncResult::Held,
            dry_run: false,
            held_because: vec![HeldReason::AccessGuard],
            digest: None,
            losses: vec![LossSummary {
                resource_type: "account".into(),
                kind: LossKind::Removed,
                count: 30,
                of: 100,
                records,
            }],
        }
    }

    #[test]
    fn sync_page_lists_removals_only_when_signed_in() {
        let frame = Frame { is_signed_in: true, can_sign_in: true, ..Frame::default() };
        let html = sync(&frame, "hr", &recorded(), Some(&shown(150))).unwrap();
        assert!(
            html.contains("20,000") && html.contains("1 min") && html.contains("Removals held"),
            "{html}"
        );
        assert!(
            html.contains("Ann Example") && html.contains("&lt;i&gt;u1") && html.contains("And 29 more."),
            "{html}"
        );
        assert!(!html.contains("<b>") && !html.contains("<i>"));
        let stranger =
            sync(&Frame { can_sign_in: true, ..Frame::default() }, "hr", &recorded(), Some(&shown(150)))
                .unwrap();
        assert!(
            !stranger.contains("Ann Example")
                && !stranger.contains("u1<")
                && stranger.contains("30 of 100 removed"),
            "{stranger}"
        );
    }

    #[test]
    fn sync_page_does_not_show_losses_of_another_sync() {
        for second in [99, 191] {
            let html = sync(&Frame::default(), "hr", &recorded(), Some(&shown(second))).unwrap();
            assert!(!html.contains("30 of 100"), "{second}");
        }
    }
}
