//! A circuit breaker that decides when calls may be sent: in parallel, one at a time, or not at all.
//!
//! Every call of a client goes through the same breaker and reports its result to it.
//!
//! - Open: every call passes.
//! - After a `429`: no call passes until the pause is over; then one at a time, until one gets a different response. If
//!   all were sent together, they would hit the limit together.
//! - After several failures in a row without a response in between: one at a time, with growing intervals, so that an
//!   outage costs less than a call per second, however many callers there are. The first response opens the breaker fully; if more
//!   than a few wait by then, they pass within seconds and not in the same moment.

mod permit;
mod settings;
mod state;
#[cfg(test)]
mod tests;

pub(super) use permit::{BridgeBreaker, Outcome, Permit, Refusal};
pub(super) use settings::BreakerSettings;
