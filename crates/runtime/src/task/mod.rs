//! The life of a task: `poll → lane → intent → execute → outcome → report → reported`.
//!
//! [`scheduler`] is an app's event loop. It takes tasks from [`poller`], decides with [`account_queues`] which may run, and starts a
//! [`executor`] for each, unless [`approval_queue`] keeps it back: [`admission`] refuses what must not reach the connector, [`attempts`]
//! makes [`attempt`]s at it with [`verification`] where an effect is not known and [`wait_for_target`] where the target is unreachable,
//! [`verify`] looks whether a success shows, and [`report`] tells Iden. A task that Iden lists after its end is [`relisted`].
//! One that an operator makes up is tried once, [`by_hand`], without Iden.

pub(crate) mod account_queues;
mod admission;
mod approval_queue;
mod attempt;
mod attempts;
mod audited;
mod bodies;
mod by_hand;
mod doubt;
mod executor;
mod offset_pager;
mod poller;
#[cfg(test)]
mod poller_model;
mod relisted;
mod report;
pub(crate) mod scheduler;
#[cfg(test)]
mod spread_tests;
mod steps;
mod verification;
mod verify;
mod wait_for_target;

pub(crate) use by_hand::run as by_hand;
pub use by_hand::{Answer, ByHand, Decision, Refused};
pub(crate) use report::report_of;
