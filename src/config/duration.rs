//! Durations as people write them: `"30s"`, `"1h 30m"`, `"7d"`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use super::tree::Node;

/// Nobody means less: another unit was meant.
const SHORTEST: Duration = Duration::from_millis(1);
/// A timer set for later than this overflows somewhere, and nobody waits for it.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// Reads a duration above zero; `example` goes into the error.
pub(super) fn read(node: &Node, example: &str) -> Result<Duration, String> {
    let parsed = node.as_str().and_then(parse);
    let duration = parsed.ok_or_else(|| format!("must be a duration such as {example:?}"))?;
    if duration.is_zero() {
        return Err(format!("must be longer than nothing, such as {example:?}"));
    }
    if duration < SHORTEST {
        return Err(format!("must be at least 1ms, such as {example:?}"));
    }
    if duration > LONGEST {
        return Err(format!("must be at most 366d; write for example {example:?}"));
    }
    Ok(duration)
}

/// Reads a duration that is not too short to be meant.
pub(super) fn at_least(node: &Node, least: Duration, example: &str) -> Result<Duration, String> {
    let duration = read(node, example)?;
    if duration < least {
        let least = jiff::fmt::friendly::SpanPrinter::new().unsigned_duration_to_string(&least);
        return Err(format!("must be at least {least}, such as {example:?}"));
    }
    Ok(duration)
}

/// A day is 24 hours, a week seven days; months and years have no fixed length, and negative durations no meaning.
fn parse(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(signed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
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
    fn what_has_no_unit_or_no_fixed_length_is_no_duration() {
        for text in ["", "30", "-30s", "30s ago", "1 month", "1y", "soon", "9999999999999999h"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
