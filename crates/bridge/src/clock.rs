//! The Bridge's time, from the `Date` header of its responses.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bridgehead_resilience::Clock;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AGE, DATE, HeaderMap};
use reqwest::{Request, Response};

use super::Exchange;
use super::exchange::Undelivered;

/// The difference between this machine's clock and the Bridge's, from the last response that had a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The minimum by which this machine is ahead; negative if it is behind. Zero if both clocks may agree: a date has a resolution of one
    /// second, and the response took some time to arrive.
    pub ahead: SignedDuration,
}

/// The last reading, shared with its readers.
pub(super) type LastReading = Arc<Mutex<Option<ClockReading>>>;

/// Forwards requests and records the date of each response.
#[derive(Debug)]
pub(super) struct Dated {
    pub(super) exchange: Arc<dyn Exchange>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) last: LastReading,
}

#[async_trait]
impl Exchange for Dated {
    async fn exchange(&self, request: Request) -> Result<Response, Undelivered> {
        let sent = self.clock.now();
        let response = self.exchange.exchange(request).await?;
        if let Some(date) = date(response.headers()) {
            let reading = ClockReading { ahead: ahead(sent, self.clock.now(), date) };
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        }
        Ok(response)
    }
}

/// When the response was created. `None` for cached responses.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    if headers.contains_key(AGE) {
        return None;
    }
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Timestamp::try_from(date).ok()
}

/// The response was created between `sent` and `received` by one clock, and within a second after `date` by the other.
fn ahead(sent: Timestamp, received: Timestamp, date: Timestamp) -> SignedDuration {
    let (earliest, latest) = (date, date.saturating_add(SignedDuration::from_secs(1)).unwrap_or(date));
    if sent > latest {
        sent.duration_since(latest)
    } else if received < earliest {
        received.duration_since(earliest)
    } else {
        SignedDuration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn response_time_is_not_clock_skew() {
        let at = |text: &str| format!("2026-03-01T{text}Z").parse::<Timestamp>().unwrap();
        let seconds = |sent, received, date| ahead(at(sent), at(received), at(date)).as_secs();
        assert_eq!(seconds("10:00:00.9", "10:00:01.2", "10:00:00"), 0);
        assert_eq!(seconds("10:00:00", "10:00:30", "10:00:29"), 0);
        assert_eq!(seconds("10:05:00", "10:05:01", "10:00:00"), 299);
        assert_eq!(seconds("10:00:00", "10:00:01", "10:05:00"), -299);
    }

    #[test]
    fn cached_or_invalid_date_headers_are_ignored() {
        let date = |headers: &[(&'static str, &'static str)]| {
            let header = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            date(&headers.iter().map(header).collect())
        };
        let now = ("date", "Sun, 01 Mar 2026 10:00:00 GMT");
        assert_eq!(date(&[now]), "2026-03-01T10:00:00Z".parse().ok());
        assert_eq!(date(&[now, ("age", "5")]), None);
        assert_eq!(date(&[("date", "yesterday")]), None);
        assert_eq!(date(&[]), None);
    }
}
