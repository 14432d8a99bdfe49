//! Which checks are meant: by names in which `*` stands for any text.

use bridgehead_sdk::conformance::{self, Listed};
use bridgehead_sdk::nearest;

use super::super::args::Global;
use super::super::failure::{Exit, Failure};
use super::super::print;
use super::show;
use crate::config::Pattern;

/// The names of the checks that the patterns mean; all when there are none.
pub(super) fn of(patterns: &[String]) -> Result<Option<Vec<&'static str>>, Failure> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut chosen = Vec::new();
    for pattern in patterns {
        let found = matching(pattern).map_err(|why| Failure::new(Exit::Usage, format!("--only: {why}")))?;
        chosen.extend(found);
    }
    Ok(Some(chosen))
}

/// The names of the checks that a pattern means; one that means none is a mistake.
fn matching(pattern: &str) -> Result<Vec<&'static str>, String> {
    let names = conformance::checks().into_iter().map(|one| one.name);
    let known = Pattern::new(pattern).map_err(|error| format!("'{pattern}' {error}"))?;
    let found: Vec<&str> = names.clone().filter(|name| known.matches(name)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let hint = nearest(pattern, names).map(|name| format!("did you mean '{name}'? ")).unwrap_or_default();
    Err(format!(
        "there is no check '{pattern}'; {hint}`bridgehead check --conformance --list` names them all"
    ))
}

/// Prints the checks with their rules.
pub(super) fn list(global: &Global, only: Option<&[&str]>) {
    let mut listed: Vec<Listed> = conformance::checks();
    listed.retain(|one| only.is_none_or(|names| names.contains(&one.name)));
    if global.json {
        print::json(&listed);
        return;
    }
    for one in listed {
        let changes = if one.changes { " (changes the target)" } else { "" };
        print::line(format!("{}{changes}", one.name));
        show::wrapped(one.rule, 2).into_iter().for_each(print::line);
    }
}
