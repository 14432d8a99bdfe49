//! When calls may travel: all at once, one at a time, or not at all.
//!
//! Every call of a client passes the same gate, and tells it how it went.
//! - Open: everybody passes.
//! - After a `429`: nobody passes until the pause is over; then one at a time, until one is answered
//!   otherwise. Were all let through at once, they would run into the limit together.
//! - After several failures in a row with no answer between: one at a time, at a distance that grows, so that
//!   an outage costs less than a call a second however many callers there are. The first answer opens the
//!   gate fully.

mod permit;
mod settings;
mod state;
#[cfg(test)]
mod tests;

pub(super) use permit::{BridgeBreaker, Outcome, Permit, Refusal};
pub(super) use settings::BreakerSettings;
