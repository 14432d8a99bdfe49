//! Durations in the format that people use: `"30s"`, `"1h 30m"`, `"7d"`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use schemars::{Schema, json_schema};

use super::leaf::{EXAMPLE, Leaf};

/// A longer timer would overflow somewhere, and is useless.
const LONGEST: Duration = Duration::from_hours(366 * 24);
const DAY: u64 = 24 * 3600;

/// A duration of at least `LEAST` milliseconds. A shorter one probably has the wrong unit.
pub(super) struct Length<const LEAST: u64 = 1>;

impl<const LEAST: u64> Leaf for Length<LEAST> {
    type Value = Duration;

    fn read(text: Option<&str>) -> Result<Duration, String> {
        let parsed = text.and_then(parse);
        let duration = parsed.ok_or_else(|| format!("must be a duration such as {EXAMPLE}"))?;
        if duration.is_zero() {
            return Err(format!("must be longer than zero, such as {EXAMPLE}"));
        }
        let least = Duration::from_millis(LEAST);
        if duration < least {
            return Err(format!("must be at least {}, such as {EXAMPLE}", friendly(least)));
        }
        if duration > LONGEST {
            return Err(format!("must be at most 366d; write, for example, {EXAMPLE}"));
        }
        Ok(duration)
    }

    fn write(duration: &Duration) -> Option<String> {
        Some(written(*duration))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["30s", "15m", "1h 30m"] })
    }
}

/// The time window in which deletions are counted; the journal keeps them for at most this long.
pub(super) struct Window;

impl Leaf for Window {
    type Value = Duration;

    fn read(text: Option<&str>) -> Result<Duration, String> {
        let window = Length::<1>::read(text)?;
        if (1..=30 * DAY).contains(&window.as_secs()) {
            Ok(window)
        } else {
            Err(format!("must be between 1s and 30d, such as {EXAMPLE}"))
        }
    }

    fn schema() -> Schema {
        Length::<1>::schema()
    }
}

/// A duration in units, such as `1m 30s`.
pub(super) fn friendly(duration: Duration) -> String {
    jiff::fmt::friendly::SpanPrinter::new().unsigned_duration_to_string(&duration)
}

/// A duration in the largest unit in which it is an integer. A single minute is 60 seconds, the usual form in configurations.
fn written(duration: Duration) -> String {
    match duration.as_secs() {
        _ if duration.subsec_nanos() > 0 => friendly(duration),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 && seconds > 60 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// A day is 24 hours, a week seven days; months and years have no fixed length, and negative durations are invalid.
fn parse(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(signed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn human_readable_durations_are_parsed() {
        let seconds = |text| parse(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("30s"), Some(30.0));
        assert_eq!(seconds("1h 30m"), Some(5400.0));
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("100ms"), Some(0.1));
        assert_eq!(seconds("7d"), Some(604_800.0));
        assert_eq!(seconds("1w"), Some(604_800.0));
        assert_eq!(seconds("PT10S"), Some(10.0));
        assert_eq!(seconds("0s"), Some(0.0));
    }

    #[test]
    fn text_without_a_fixed_unit_is_not_a_duration() {
        for text in ["", "30", "-30s", "30s ago", "1 month", "1y", "soon", "9999999999999999h"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn default_durations_are_displayed_readably() {
        for text in ["30s", "60s", "15m", "1h", "24h", "90s", "250ms"] {
            let duration = parse(text).unwrap();
            assert_eq!(parse(&written(duration)), Some(duration), "{text}");
        }
        for text in ["30s", "60s", "15m", "1h", "24h", "2m"] {
            assert_eq!(written(parse(text).unwrap()), text);
        }
    }
}
