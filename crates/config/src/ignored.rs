//! Environment variables that look like a key of the configuration but are ignored: in lower case, with a missing underscore, with a
//! misspelled prefix or key, or without the levels above the key.

use std::collections::BTreeMap;

use strsim::damerau_levenshtein;

use super::environment::PREFIX;
use super::keys::{Keys, Kind};
use super::schema;
use super::tree::join;

/// A shorter last part of a key is too common in names of variables: `PORT`, `PATH`.
const SHORTEST: usize = 6;
/// At most how many letters of a prefix or a key are wrong, missing, or too many.
const TYPOS: usize = 2;

/// One sentence for each variable. The value is never shown.
pub(super) fn variables<'a>(
    environment: &BTreeMap<String, String>,
    apps: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let apps: Vec<&str> = apps.collect();
    let ignored = environment.keys().filter(|variable| !variable.starts_with(PREFIX));
    let near = ignored.filter_map(|variable| Some((variable, instead_of(variable, &apps)?)));
    near.map(|(variable, meant)| {
        format!(
            "the environment variable {variable} is ignored: use the prefix {PREFIX}, upper-case letters, and two \
             underscores between levels; write {meant}"
        )
    })
    .collect()
}

/// The variable that was probably meant.
fn instead_of(variable: &str, apps: &[&str]) -> Option<String> {
    let prefix = PREFIX.trim_end_matches('_');
    let (start, name) = variable.split_at_checked(variable.find('_')?)?;
    let upper = start.to_uppercase();
    let is_ours = upper == prefix;
    if damerau_levenshtein(&upper, prefix) > TYPOS {
        return None;
    }
    let name = name.trim_start_matches('_');
    let levels = || format!("{PREFIX}{}", name.to_uppercase());
    let is_in_levels = variable[start.len()..].starts_with("__");
    meant(name, apps)
        .or_else(|| similar(name, apps))
        // With two underscores it is certainly meant, even if the key is a secret or does not exist.
        .or_else(|| (!is_ours && is_in_levels).then(levels))
}

/// The variable of the key that a name without regard to case and underscores stands for.
pub(super) fn meant(name: &str, apps: &[&str]) -> Option<String> {
    let keys = all(apps);
    let name = flat(name);
    let key = keys.iter().find(|key| match key.strip_suffix(".…") {
        Some(table) => name.starts_with(&flat(table)),
        None => flat(key) == name,
    });
    key.map(|key| written(key))
}

/// The variable of a key that is misspelled, or named without the levels above it. `NAME` stands for an app if there are several.
fn similar(name: &str, apps: &[&str]) -> Option<String> {
    let apps = if let [one] = apps { [*one] } else { ["NAME"] };
    let mut keys = all(&apps);
    keys.retain(|key| !key.ends_with('…'));
    let name = flat(name);
    let ends = |key: &&String| {
        let starts = key.match_indices('.').map(|(dot, _)| dot + 1);
        name.len() >= SHORTEST && starts.into_iter().any(|start| flat(&key[start..]) == name)
    };
    if let Some(key) = keys.iter().find(ends) {
        return Some(written(key));
    }
    let typos = |key: &&String| damerau_levenshtein(&flat(key), &name);
    let near = keys.iter().min_by_key(typos).filter(|key| typos(key) <= TYPOS);
    near.filter(|_| name.len() >= SHORTEST).map(|key| written(key))
}

fn flat(text: &str) -> String {
    text.to_lowercase().replace(['.', '_', '-'], "")
}

fn written(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('-', "_").replace('.', "__"))
}

/// All keys of the configuration.
fn all(apps: &[&str]) -> Vec<String> {
    let known = schema::document();
    let mut keys = Vec::new();
    leaves(Keys::of(&known), "", apps, &mut keys);
    keys
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
            ("BRIDGEHEAD_POLL_INTERVAL", Some("BRIDGEHEAD__APPS__ACME_HR__TASKS__POLL_INTERVAL")),
            ("BRIDGEHEAD_GUARD_MIN_RECORDS", Some("BRIDGEHEAD__APPS__ACME_HR__SYNC__GUARD__MIN_RECORDS")),
            ("BRIDGEHEAD_LOG_LEVL", Some("BRIDGEHEAD__LOG__LEVEL")),
            ("BRIDGEHED__LOG__LEVEL", Some("BRIDGEHEAD__LOG__LEVEL")),
            ("BRIGDEHEAD__LOG__LEVEL", Some("BRIDGEHEAD__LOG__LEVEL")),
            ("BRIDGEHED_LOG_LEVEL", Some("BRIDGEHEAD__LOG__LEVEL")),
            ("BRIDGEHED__BRIDGE__API_KEY", Some("BRIDGEHEAD__BRIDGE__API_KEY")),
            ("BRIDGEHEADS__APPS__OTHER__SYNC__EVERY", Some("BRIDGEHEAD__APPS__OTHER__SYNC__EVERY")),
            ("BRIDGEHEAD_API_KEY", None),
            ("BRIDGEHEAD_BRIDGE_API_KEY", None),
            ("BRIDGEHEAD_APPS_OTHER_SYNC_EVERY", None),
            ("BRIDGEHEAD_CONFIG", None),
            ("BRIDGEHEAD_STATE_URL", None),
            ("BRIDGEHEAD_PORT", None),
            ("BRIDGEHEAD_SERVICE_HOST", None),
            ("BRIDGEHEAD_PORT_9464_TCP_ADDR", None),
            ("BRIDGEHEAD__LOG__LEVEL", None),
            ("BRIDGE_LOG_LEVEL", None),
            ("BRIDGE", None),
            ("ÄÖÜBRIDGE", None),
            ("_", None),
        ] {
            let environment = BTreeMap::from([(variable.to_owned(), String::new())]);
            let told = variables(&environment, ["acme-hr"].into_iter());
            assert_eq!(told.len(), usize::from(meant.is_some()), "{variable}: {told:?}");
            if let Some(meant) = meant {
                assert!(told[0].ends_with(&format!("write {meant}")), "{told:?}");
            }
        }
    }

    #[test]
    fn app_is_not_guessed_among_several() {
        let environment = BTreeMap::from([("BRIDGEHEAD_POLL_INTERVAL".to_owned(), "30s".to_owned())]);
        let told = variables(&environment, ["a", "b"].into_iter());
        assert!(told[0].ends_with("write BRIDGEHEAD__APPS__NAME__TASKS__POLL_INTERVAL"), "{told:?}");
    }
}
