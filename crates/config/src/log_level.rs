//! The log level: one for everything, or per module.

use bridgehead_sdk::nearest;

use super::leaf::{EXAMPLE, Leaf};
use super::values::text;

/// The common prefix of bridgehead's modules.
const OURS: &str = "bridgehead";
/// Libraries that log something.
const OTHERS: [&str; 10] =
    ["hyper", "hyper_util", "reqwest", "rustls", "h2", "sqlx", "ldap3", "tokio", "tower", "axum"];

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Directives such as `info` and `info,bridgehead=debug`.
pub(super) struct Directives;

impl Leaf for Directives {
    type Value = String;

    fn read(given: Option<&str>) -> Result<String, String> {
        check(text(given, EXAMPLE)?)
    }

    fn write(directives: &String) -> Option<String> {
        Some(directives.clone())
    }
}

/// tracing takes a mistyped level for a module name, and then logs nothing, so levels are checked here.
fn check(directives: &str) -> Result<String, String> {
    let (mut for_all, mut for_us) = (false, false);
    for directive in directives.split(',') {
        let level = match directive.split_once('=') {
            Some((module, _)) if module.trim().is_empty() => return Err(expected()),
            Some((module, level)) => {
                known(module.trim())?;
                level
            }
            None => {
                for_all = true;
                directive
            }
        };
        for_us |= directive.trim().starts_with(OURS);
        let level = level.trim();
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            return Err(match nearest(level, LEVELS) {
                Some(near) => format!("{}; did you mean '{near}'?", expected()),
                None => expected(),
            });
        }
    }
    if !for_all && !for_us {
        return Err(format!(
            "would log nothing of bridgehead itself; start with a level for everything, such as \
             \"info,{directives}\""
        ));
    }
    match directives.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(directives.to_owned()),
        Err(_) => Err(expected()),
    }
}

/// A directive for a module whose name is slightly misspelled would have no effect.
fn known(module: &str) -> Result<(), String> {
    let root = module.split("::").next().unwrap_or(module);
    if root == OURS || OTHERS.contains(&root) || root.starts_with("bridgehead_") {
        return Ok(());
    }
    match nearest(root, OTHERS.into_iter().chain([OURS])) {
        Some(near) => Err(format!("unknown module '{root}'; did you mean '{near}'?")),
        None => Ok(()),
    }
}

fn expected() -> String {
    format!("must be a level ({}), or levels by module such as \"info,bridgehead=debug\"", LEVELS.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_level_that_would_silence_bridgehead_is_refused() {
        for good in [
            "info",
            "warn,bridgehead=debug",
            "bridgehead=debug",
            "bridgehead::exec=trace,hyper=info",
            "info,mylib=debug",
        ] {
            assert_eq!(check(good).as_deref(), Ok(good));
        }
        let refused = check("bridgehed=debug").unwrap_err();
        assert_eq!(refused, "unknown module 'bridgehed'; did you mean 'bridgehead'?");
        assert!(check("hyper=debug").unwrap_err().contains("\"info,hyper=debug\""));
    }
}
