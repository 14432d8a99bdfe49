//! A circuit breaker that decides when calls may be sent: in parallel, one at a time, or not at all.
//!
//! Every call of a client goes through the same breaker and reports its result to it.
//!
//! - Normally, calls are sent in parallel.
//! - After a `429`: no call is sent until the pause is over; then one at a time, until one gets a different response. If all were sent
//!   together, they would hit the limit together.
//! - After several consecutive failures without a response: one at a time, with growing intervals, so that an outage causes less than one
//!   call per second, no matter how many callers there are. The first response ends this.

mod permit;
mod settings;
mod state;
#[cfg(test)]
mod tests;

pub(super) use permit::{BridgeBreaker, Outcome, Permit, Refusal};
pub(super) use settings::BreakerSettings;
