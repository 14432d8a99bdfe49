//! When syncs start.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use super::leaf::{EXAMPLE, Leaf};
use super::values::text;

/// When the syncs of an app start.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// This long after the start of the previous one.
    Every(Duration),
    /// At the times that match a cron expression. It has five fields, and it matches at least one future time.
    Cron {
        /// Minute, hour, day of the month, month, day of the week.
        expression: String,
        /// The time zone; UTC unless the operator specified another.
        timezone: TimeZone,
    },
}

/// Parses five fields: neither seconds nor years.
pub(super) fn parse(expression: &str) -> Option<Cron> {
    if expression.split_whitespace().count() != 5 {
        return None;
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Optional).build();
    parser.parse(expression).ok()
}

/// A cron expression.
pub(super) struct Expression;

impl Leaf for Expression {
    type Value = String;

    fn read(given: Option<&str>) -> Result<String, String> {
        let expected = || {
            format!(
                "must have five fields: minute, hour, day of the month, month, day of the week; such as {EXAMPLE}"
            )
        };
        let text = text(given, EXAMPLE)?;
        let cron = parse(text).ok_or_else(expected)?;
        // Any start date reveals an impossible date such as February 31; a fixed one keeps this function pure.
        let from = jiff::civil::date(2024, 1, 1).to_zoned(TimeZone::UTC).map_err(|_| expected())?;
        match cron.find_next_occurrence(&from, false) {
            Ok(_) => Ok(text.trim().to_owned()),
            Err(_) => Err("never occurs; check the day against the month".to_owned()),
        }
    }
}

/// The name of a time zone.
pub(super) struct Zone;

impl Leaf for Zone {
    type Value = TimeZone;

    fn read(given: Option<&str>) -> Result<TimeZone, String> {
        let name = text(given, EXAMPLE)?;
        if let Ok(zone) = TimeZone::get(name) {
            return Ok(zone);
        }
        let database = jiff::tz::db();
        if database.is_definitively_empty() {
            return Err("this system has no time zone data; install the package tzdata".to_owned());
        }
        let names: Vec<String> = database.available().map(|zone| zone.to_string()).collect();
        Err(match bridgehead_sdk::nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("unknown time zone; did you mean '{near}'?"),
            None => format!("unknown time zone; write, for example, {EXAMPLE}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expression_has_five_fields() {
        for text in ["0 3 * * *", "*/15 8-18 * * MON-FRI", "0 0 29 2 *", "  0 3 * * *  "] {
            assert!(parse(text).is_some(), "{text:?}");
        }
        for text in ["", "0 3 * *", "0 0 3 * * *", "61 3 * * *", "@daily", "a b c d e", "0 3 * * * 2030"] {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }
}
