//! The one place where the client asks what time it is; all else is measured with `tokio::time::Instant`.

use std::time::SystemTime;

/// The time of day, for what people and other machines read.
pub(super) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The same, as HTTP dates are compared.
pub(super) fn system_now() -> SystemTime {
    SystemTime::now()
}
