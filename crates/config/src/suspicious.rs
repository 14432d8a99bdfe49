//! Valid settings that are probably unintended: `check` and the log at startup show them as warnings.

use std::time::Duration;

use super::{Config, Guard, Schedule};

/// A target that is read more often than this is read almost continuously.
const OFTEN: Duration = Duration::from_secs(60);
/// With a larger `min_records`, the guard would not protect many companies.
const TINY: u64 = 100;
/// A guard that lets a sync take this share of the accounts protects little.
const HALF: f64 = 50.0;

/// One sentence per warning.
pub(super) fn of(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(admin) =
        config.admin.as_ref().map(|admin| admin.listen).filter(|address| !address.ip().is_loopback())
    {
        warnings.push(format!(
            "admin.listen = \"{admin}\" shows accounts, errors and metrics to anyone who can reach this \
             machine, without a password; write 127.0.0.1, and put an authenticating proxy in front"
        ));
    }
    if config
        .log
        .level
        .split(',')
        .any(|level| ["off", "bridgehead=off"].contains(&&*level.trim().to_lowercase()))
    {
        warnings.push(
            "log.level = \"off\" logs nothing, not even that tasks fail or that a sync is held; write, for example, \
             \"warn\""
                .to_owned(),
        );
    }
    for (name, app) in &config.apps {
        let key = format!("apps.{name}.sync");
        if let Schedule::Every(every) = app.sync.schedule
            && app.sync.enabled
            && every < OFTEN
        {
            warnings.push(format!(
                "{key}.every = \"{}\" reads the whole target almost continuously; an hour or more is usual, \
                 such as \"6h\"",
                super::duration::friendly(every)
            ));
        }
        if let Schedule::Every(every) = app.sync.schedule
            && app.sync.enabled
            && app.sync.guard.window < every
            && app.sync.guard.window < Guard::default().window
        {
            warnings.push(format!(
                "{key}.guard.window = \"{}\" is shorter than the time between two syncs ({}), so their losses are \
                 not added up, and each sync may cause as many as the guard allows; write, for example, \"24h\"",
                super::duration::friendly(app.sync.guard.window),
                super::duration::friendly(every)
            ));
        }
        warnings.extend(guard(&app.sync.guard).into_iter().map(|what| format!("{key}.guard.{what}")));
    }
    warnings
}

/// What makes a guard ineffective.
fn guard(guard: &Guard) -> Vec<String> {
    let percents = [
        ("max_removal_percent", guard.max_removal_percent, guard.max_removals, "max_removals", "remove"),
        (
            "max_deactivation_percent",
            guard.max_deactivation_percent,
            guard.max_deactivations,
            "max_deactivations",
            "deactivate",
        ),
        (
            "max_membership_loss_percent",
            guard.max_membership_loss_percent,
            guard.max_membership_losses,
            "max_membership_losses",
            "remove memberships from",
        ),
    ];
    let mut warnings: Vec<String> = percents
        .into_iter()
        .filter(|(_, percent, ..)| *percent >= HALF)
        .map(|(key, percent, most, number, what)| {
            let share = if percent >= 100.0 {
                "every account".to_owned()
            } else {
                format!("{percent} % of the accounts")
            };
            format!(
                "{key} = {percent} lets a sync {what} {share} if {number} = {most} allows it too; write, for \
                 example, 10"
            )
        })
        .collect();
    if guard.min_records > TINY {
        warnings.push(format!(
            "min_records = {} exempts every type with fewer records from the guard; write, for example, 20",
            guard.min_records
        ));
    }
    warnings
}
