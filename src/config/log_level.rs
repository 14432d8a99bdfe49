//! The level of the log: one for all, or by module.

use bridgehead_sdk::nearest;

use super::tree::Node;
use super::values::text;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Checks directives such as `info` and `info,bridgehead=debug`.
///
/// tracing takes a mistyped level for the name of a module, and then logs nothing; so words are checked here.
pub(super) fn read(node: &Node) -> Result<String, String> {
    let directives = text(node, "info")?;
    for directive in directives.split(',') {
        let level = match directive.split_once('=') {
            Some((module, _)) if module.trim().is_empty() => return Err(expected()),
            Some((_, level)) => level,
            None => directive,
        };
        let level = level.trim();
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            return Err(match nearest(level, LEVELS) {
                Some(near) => format!("{}; did you mean '{near}'?", expected()),
                None => expected(),
            });
        }
    }
    match directives.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(directives.to_owned()),
        Err(_) => Err(expected()),
    }
}

fn expected() -> String {
    format!("must be a level ({}), or levels by module such as \"info,bridgehead=debug\"", LEVELS.join(", "))
}
