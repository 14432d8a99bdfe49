//! Selects checks by patterns in which `*` matches any text.

use bridgehead_conformance::{self as conformance, Listed};

use super::super::args::Global;
use super::super::failure::{Exit, Failure};
use super::super::print;
use super::show;
use bridgehead_config::checks_named;

/// The names of the checks that match the patterns; all if there are none.
pub(super) fn of(patterns: &[String]) -> Result<Option<Vec<&'static str>>, Failure> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut chosen = Vec::new();
    for pattern in patterns {
        let (_, found) = checks_named(pattern).map_err(|why| {
            let message = format!(
                "--only: '{pattern}' {why}; `bridgehead check --conformance --list` lists all checks"
            );
            Failure::new(Exit::Usage, message)
        })?;
        chosen.extend(found);
    }
    Ok(Some(chosen))
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
