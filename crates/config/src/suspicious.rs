//! Valid settings that are probably unintended: `check` and the log at startup show them as warnings.

use std::collections::BTreeMap;
use std::time::Duration;

use super::environment::PREFIX;
use super::keys::{Keys, Kind};
use super::tree::join;
use super::{Config, Guard, Schedule, schema};

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

/// Variables that look like a key of the configuration but are ignored, because they are in lower case or lack an underscore:
/// `BRIDGEHEAD_BRIDGE_BASE_URL`. One sentence each.
pub(super) fn variables<'a>(
    environment: &BTreeMap<String, String>,
    apps: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let apps: Vec<&str> = apps.collect();
    let prefix = PREFIX.trim_end_matches('_');
    let ignored = environment.keys().filter(|variable| !variable.starts_with(PREFIX));
    let near = ignored.filter_map(|variable| {
        let (start, name) = variable.split_at_checked(prefix.len())?;
        let is_ours = start.eq_ignore_ascii_case(prefix) && name.starts_with('_');
        Some((variable, meant(name, &apps).filter(|_| is_ours)?))
    });
    near.map(|(variable, meant)| {
        format!(
            "the environment variable {variable} is ignored: use upper-case letters, and two underscores \
                 between levels; write {meant}"
        )
    })
    .collect()
}

/// The variable of the key that a name without regard to case and underscores stands for.
pub(super) fn meant(name: &str, apps: &[&str]) -> Option<String> {
    let flat = |text: &str| text.to_lowercase().replace(['.', '_', '-'], "");
    let known = schema::document();
    let mut keys = Vec::new();
    leaves(Keys::of(&known), "", apps, &mut keys);
    let name = flat(name);
    let key = keys.iter().find(|key| match key.strip_suffix(".…") {
        Some(table) => name.starts_with(&flat(table)),
        None => flat(key) == name,
    });
    key.map(|key| format!("{PREFIX}{}", key.to_uppercase().replace('-', "_").replace('.', "__")))
}

/// All keys below a table. A table whose keys are defined elsewhere ends with `…`.
fn leaves(keys: Keys<'_>, above: &str, apps: &[&str], into: &mut Vec<String>) {
    let names = if keys.kind() == Kind::Map { apps.to_vec() } else { keys.names() };
    for name in names {
        let Some(below) = keys.child(name) else { continue };
        let path = join(above, name);
        match below.kind() {
            // Variables with such names often contain a secret.
            Kind::Secret => {}
            Kind::Free => into.push(format!("{path}.…")),
            Kind::Leaf => into.push(path),
            // Only the apps have names that the operator chooses.
            Kind::Map if path != "apps" => {}
            Kind::Table | Kind::Map => leaves(below, &path, apps, into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_that_looks_like_a_key_is_detected() {
        for (variable, meant) in [
            ("BRIDGEHEAD_BRIDGE_BASE_URL", Some("BRIDGEHEAD__BRIDGE__BASE_URL")),
            ("bridgehead__bridge__base_url", Some("BRIDGEHEAD__BRIDGE__BASE_URL")),
            ("Bridgehead_Log_Level", Some("BRIDGEHEAD__LOG__LEVEL")),
            ("BRIDGEHEAD_APPS_ACME_HR_SYNC_EVERY", Some("BRIDGEHEAD__APPS__ACME_HR__SYNC__EVERY")),
            (
                "BRIDGEHEAD_APPS__ACME_HR__SYNC__GUARD__MIN_RECORDS",
                Some("BRIDGEHEAD__APPS__ACME_HR__SYNC__GUARD__MIN_RECORDS"),
            ),
            ("BRIDGEHEAD_APPS_ACME_HR_TARGET_URL", Some("BRIDGEHEAD__APPS__ACME_HR__TARGET__…")),
            ("BRIDGEHEAD_API_KEY", None),
            ("BRIDGEHEAD_BRIDGE_API_KEY", None),
            ("BRIDGEHEAD_APPS_OTHER_SYNC_EVERY", None),
            ("BRIDGEHEAD_CONFIG", None),
            ("BRIDGEHEAD__LOG__LEVEL", None),
            ("BRIDGE", None),
            ("ÄÖÜBRIDGE", None),
        ] {
            let environment = BTreeMap::from([(variable.to_owned(), String::new())]);
            let told = variables(&environment, ["acme-hr"].into_iter());
            assert_eq!(told.len(), usize::from(meant.is_some()), "{variable}: {told:?}");
            if let Some(meant) = meant {
                assert!(told[0].ends_with(&format!("write {meant}")), "{told:?}");
            }
        }
    }
}
