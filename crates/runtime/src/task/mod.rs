//! The execution of a task: `poll → queue → intent → execute → outcome → report → reported`.
//!
//! [`scheduler`] is an app's event loop. It takes tasks from [`poller`], decides with [`account_queues`] which may run, and starts an
//! [`executor`] for each, unless [`approval_queue`] holds it. [`admission`] rejects tasks that must not reach the connector. [`attempts`]
//! makes one [`attempt`] after another, with [`verification`] if an effect is unknown and [`wait_for_target`] while the target is
//! unreachable. [`verify`] confirms a success, and [`report`] sends the outcome to Iden. A task that Iden lists after its end is
//! [`relisted`]. [`noted`] tells the removal guard what tasks have done. [`by_hand`] tries an operation of an operator once, without Iden.

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
mod noted;
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
