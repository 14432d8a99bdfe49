//! The result of a reload, for people.

use crate::control::{AppReloaded, Fate, Reloaded};

/// The whole result, one line for each part.
pub(super) fn text(reloaded: &Reloaded) -> String {
    let mut lines = Vec::new();
    for (name, AppReloaded { result, changes, detail }) in &reloaded.apps {
        lines.push(format!("{name}: {}", said(*result, reloaded.dry_run)));
        lines.extend(detail.iter().map(|detail| format!("  {detail}")));
        lines.extend(changes.iter().map(|change| format!("  {change}")));
    }
    if !reloaded.daemon.is_empty() {
        lines.push(format!("daemon: {}", said(Fate::Changed, reloaded.dry_run)));
        lines.extend(reloaded.daemon.iter().map(|change| format!("  {change}")));
    }
    if !reloaded.needs_restart.is_empty() {
        lines.push("needs a restart:".to_owned());
        lines.extend(reloaded.needs_restart.iter().map(|change| format!("  {change}")));
    }
    lines.join("\n")
}

fn said(fate: Fate, would: bool) -> &'static str {
    match (fate, would) {
        (Fate::Changed, true) => "would be changed",
        (Fate::Added, true) => "would be added",
        (Fate::Removed, true) => "would be removed",
        (Fate::Failed, true) => "would fail",
        (fate, _) => fate.as_str(),
    }
}

/// The result in one sentence.
pub(super) fn sentence(reloaded: &Reloaded) -> String {
    if let Some(refused) = &reloaded.refused {
        return format!(
            "the configuration is not reloaded, and nothing has changed: {}",
            refused.replace('\n', "; ")
        );
    }
    let mut parts = Vec::new();
    for fate in [Fate::Failed, Fate::Changed, Fate::Added, Fate::Removed] {
        let apps: Vec<String> = reloaded
            .apps
            .iter()
            .filter(|(_, app)| app.result == fate)
            .map(|(name, app)| match &app.detail {
                Some(detail) => format!("{name} ({detail})"),
                None => name.clone(),
            })
            .collect();
        if !apps.is_empty() {
            parts.push(format!("{}: {}", fate.as_str(), apps.join(", ")));
        }
    }
    let keys = |changes: &[crate::control::Changed]| {
        changes.iter().map(|change| change.key.clone()).collect::<Vec<_>>().join(", ")
    };
    if !reloaded.daemon.is_empty() {
        parts.push(format!("changed for all: {}", keys(&reloaded.daemon)));
    }
    if !reloaded.needs_restart.is_empty() {
        parts.push(format!("needs a restart: {}", keys(&reloaded.needs_restart)));
    }
    if parts.is_empty() {
        parts.push("nothing has changed".to_owned());
    }
    format!("the configuration is reloaded; {}", parts.join("; "))
}
