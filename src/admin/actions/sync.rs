//! Starts a sync or a dry run, and allows the removals that were shown.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Action, Confirmation, NAMED, Operator, People, Refusal, count};
use crate::admin::query::Fields;
use crate::admin::summary;
use bridgehead_runtime::ShownRemovals;
use bridgehead_runtime::audit::Actor;
use bridgehead_runtime::sync::{Consent, Digest, LossSummary, Options};
use bridgehead_store::LossKind;

/// Starts a sync, or only a dry run.
pub(super) struct Start {
    pub(super) dry_run: bool,
}

#[async_trait]
impl Action for Start {
    fn name(&self) -> &'static str {
        if self.dry_run { "dry-run" } else { "sync" }
    }

    fn label(&self) -> &'static str {
        if self.dry_run { "Dry run" } else { "Start sync" }
    }

    async fn confirm(&self, operator: &Operator, app: &str, _: &Fields) -> Result<Confirmation, Refusal> {
        let expected = records(operator.runtime.expected(app).await);
        let status = operator.runtime.status().remove(app).ok_or(Refusal::NoSuchApp)?;
        let mut notes = Vec::new();
        if self.dry_run {
            notes.push(format!(
                "Everything is read from the target and checked. Nothing is sent to Iden and no access is removed. The last sync had {expected}."
            ));
        } else {
            notes.push(format!(
                "Everything is read from the target and sent to Iden. The last sync had {expected}. Iden then removes what the target no longer \
                 has; the removal guard holds the sync if that is too much."
            ));
        }
        if !status.sync().borrow().phase.is_empty() {
            notes.push("A sync of this app is running. This one follows it.".to_owned());
        }
        Ok(Confirmation {
            question: if self.dry_run {
                format!("Do a dry run of {app}?")
            } else {
                format!("Start a sync of {app}?")
            },
            notes,
            verb: self.label().to_owned(),
            ..Confirmation::default()
        })
    }

    async fn perform(&self, operator: &Operator, app: &str, _: &Fields) -> Result<String, Refusal> {
        begin(operator, app, Options { dry_run: self.dry_run, allow_removals: None })?;
        Ok(if self.dry_run { "The dry run has started." } else { "The sync has started." }.to_owned())
    }
}

/// Cancels the running sync.
pub(super) struct Cancel;

#[async_trait]
impl Action for Cancel {
    fn name(&self) -> &'static str {
        "cancel-sync"
    }

    fn label(&self) -> &'static str {
        "Cancel sync"
    }

    async fn confirm(&self, operator: &Operator, app: &str, _: &Fields) -> Result<Confirmation, Refusal> {
        let status = operator.runtime.status().remove(app).ok_or(Refusal::NoSuchApp)?;
        let is_here = operator.runtime.elsewhere(app).is_none();
        if is_here && status.sync().borrow().phase.is_empty() {
            return Err(Refusal::Nothing(format!("No sync of {app} is running.")));
        }
        Ok(Confirmation {
            question: format!("Cancel the running sync of {app}?"),
            notes: vec![
                "The session in Iden is abandoned, and no access is removed. The next sync starts as scheduled."
                    .to_owned(),
            ],
            verb: self.label().to_owned(),
            ..Confirmation::default()
        })
    }

    async fn perform(&self, operator: &Operator, app: &str, _: &Fields) -> Result<String, Refusal> {
        let cancelled = operator.orders.cancel_sync(&Actor::page(), app).await?;
        Ok(match (cancelled.was_under_way, cancelled.ended) {
            (false, _) => format!("No sync of {app} was running."),
            (true, Some(result)) => format!("The sync has ended: {result}."),
            (true, None) => "The sync is being cancelled.".to_owned(),
        })
    }
}

/// Allows what a dry run or a held sync has shown, and starts the sync that removes it.
pub(super) struct Allow;

#[async_trait]
impl Action for Allow {
    fn name(&self) -> &'static str {
        "allow-removals"
    }

    fn label(&self) -> &'static str {
        "Allow these removals"
    }

    async fn confirm(&self, operator: &Operator, app: &str, _: &Fields) -> Result<Confirmation, Refusal> {
        let (shown, digest) = shown(operator, app)?;
        let total: u64 = shown.losses.iter().map(|loss| loss.count).sum();
        let is_removed = |loss: &LossSummary| loss.kind == LossKind::Removed;
        let noun = if shown.losses.iter().all(is_removed) { "removal" } else { "loss of access" };
        let mut notes = vec![
            "A sync starts. It completes if it would remove exactly what is listed here, and is held again if anything has changed."
                .to_owned(),
        ];
        notes.extend(shown.losses.iter().map(|loss| {
            format!("{}: {} of {} {}.", loss.resource_type, loss.count, loss.of, lost(loss.kind))
        }));
        Ok(Confirmation {
            question: format!(
                "Allow {} of {app}?",
                count(usize::try_from(total).unwrap_or(usize::MAX), noun)
            ),
            notes,
            people: Some(losers(&shown, NAMED)),
            fields: vec![("digest", digest.to_string())],
            verb: "Allow and start the sync".to_owned(),
            is_destructive: true,
            ..Confirmation::default()
        })
    }

    async fn perform(&self, operator: &Operator, app: &str, fields: &Fields) -> Result<String, Refusal> {
        let (_, digest) = shown(operator, app)?;
        if fields.get("digest") != Some(&*digest.to_string()) {
            return Err(Refusal::Changed(
                "The sync would now remove something else. Nothing was done. Look at it again.".to_owned(),
            ));
        }
        begin(operator, app, Options { dry_run: false, allow_removals: Some(Consent::Exactly(digest)) })?;
        Ok("The sync has started. It removes what you have seen and nothing else.".to_owned())
    }
}

fn shown(operator: &Operator, app: &str) -> Result<(Arc<ShownRemovals>, Digest), Refusal> {
    let nothing = || {
        Refusal::Nothing(format!(
            "No sync of {app} is held, as far as this process knows. Do a dry run first: it shows what would be removed."
        ))
    };
    let shown = operator.runtime.observer().shown_removals(app).ok_or_else(nothing)?;
    let digest = shown.digest.ok_or_else(nothing)?;
    Ok((shown, digest))
}

/// Runs a sync that continues after the response.
fn begin(operator: &Operator, app: &str, options: Options) -> Result<(), Refusal> {
    operator.orders.may_sync(app, options)?;
    if operator.background.is_closed() || operator.stop.is_cancelled() {
        return Err(Refusal::Failed("The daemon is stopping.".to_owned()));
    }
    // Each of them waits for the previous one and holds nothing meanwhile, but many of them would be pointless.
    if operator.background.len() >= 8 {
        return Err(Refusal::Failed(
            "Several syncs that were started here are still waiting. Try again later.".to_owned(),
        ));
    }
    let (orders, stop, app) = (operator.orders.clone(), operator.stop.clone(), app.to_owned());
    operator.background.spawn(async move {
        match orders.sync(&Actor::page(), &app, options, &stop).await {
            Ok(summary) => tracing::info!(
                app,
                result = summary.result.as_str(),
                dry_run = options.dry_run,
                "the sync that was started on the page has ended: {}",
                summary.detail
            ),
            Err(error) => tracing::warn!(app, "the sync that was started on the page did not begin: {error}"),
        }
    });
    Ok(())
}

/// The records that would lose something, and what.
pub(in crate::admin) fn losers(shown: &ShownRemovals, most: usize) -> People {
    let all = shown.losses.iter().flat_map(|loss| loss.records.iter().map(move |record| (loss, record)));
    let rows: Vec<Vec<String>> = all
        .take(most)
        .map(|(loss, record)| {
            let what = match record.memberships {
                0 => lost(loss.kind).to_owned(),
                1 => "loses 1 membership".to_owned(),
                many => format!("loses {many} memberships"),
            };
            vec![loss.resource_type.clone(), record.id.clone(), record.name.clone().unwrap_or_default(), what]
        })
        .collect();
    let total: u64 = shown.losses.iter().map(|loss| loss.count).sum();
    let mut people = People {
        heading: "Who or what is affected".to_owned(),
        columns: vec!["Type", "Id", "Name", "What"],
        more: total.saturating_sub(rows.len() as u64),
        rows,
    };
    // The target names only records that still exist in it.
    if people.rows.iter().all(|row| row[2].is_empty()) {
        people.columns.remove(2);
        for row in &mut people.rows {
            row.remove(2);
        }
    }
    people
}

/// What happens to the records.
pub(in crate::admin) fn lost(kind: LossKind) -> &'static str {
    use LossKind::{Deactivated, Memberships, Removed};
    match kind {
        Removed => "removed",
        Deactivated => "deactivated",
        Memberships => "losing memberships",
    }
}

fn records(count: u64) -> String {
    match count {
        0 => "no known records".to_owned(),
        1 => "1 record".to_owned(),
        many => format!("{} records", summary::grouped(many)),
    }
}
