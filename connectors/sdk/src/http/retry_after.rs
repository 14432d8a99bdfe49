//! The `Retry-After` header, in both its forms.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The longest wait that is accepted: a typo on the server must not stop a daemon for a year.
const LONGEST: Duration = Duration::from_hours(1);

/// How long the server asks to wait. A date is compared with the server's own `Date` header if there is one, so that
/// clock differences do not matter. `None` if the header is absent, unreadable, or not in the future.
pub fn read(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(text).ok()?;
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
        until.duration_since(now).ok()?
    };
    Some(wait.min(LONGEST)).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
    }

    fn wait(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        read(&headers, now()).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_seconds_are_parsed_and_capped() {
        assert_eq!(wait("7", None), Some(7));
        assert_eq!(wait(" 7 ", None), Some(7));
        assert_eq!(wait("86400", None), Some(3600));
        assert_eq!(wait("99999999999999999999999", None), Some(3600));
    }

    #[test]
    fn retry_after_dates_are_parsed_and_capped() {
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:07 GMT", None), Some(30));
        assert_eq!(wait("Mon, 06 Nov 2034 08:50:07 GMT", None), Some(3600));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:07 GMT", None), None);
    }

    #[test]
    fn retry_after_date_is_relative_to_the_server_clock() {
        let (until, date) = ("Sun, 06 Nov 1994 10:00:20 GMT", "Sun, 06 Nov 1994 10:00:00 GMT");
        assert_eq!(wait(until, Some(date)), Some(20));
    }

    #[test]
    fn invalid_retry_after_is_ignored() {
        for text in ["", "0", "-5", "soon", "1.5"] {
            assert_eq!(wait(text, None), None, "{text}");
        }
        assert_eq!(read(&HeaderMap::new(), now()), None);
    }
}
