//! The life of a task: `poll → lane → intent → execute → outcome → report → reported`.
//!
//! [`dispatch`] is an app's event loop. It takes tasks from [`walk`], decides with [`lanes`] which may run, and starts a
//! [`life`] for each, unless [`holding`] keeps it back: [`admission`] refuses what must not reach the connector, [`trial`]
//! makes [`attempt`]s at it with [`read_back`] where an effect is not known and [`hold`] where the target is unreachable,
//! [`verify`] looks whether a success shows, and [`report`] tells Iden. A task that Iden lists after its end is [`relisted`].
//! One that an operator makes up is tried once, [`by_hand`], without Iden.

mod admission;
mod attempt;
mod by_hand;
mod course;
pub(crate) mod dispatch;
mod doubt;
mod hold;
mod holding;
pub(crate) mod lanes;
mod life;
mod read_back;
mod relisted;
mod report;
mod trial;
mod verify;
mod walk;
#[cfg(test)]
mod walk_model;

pub(crate) use by_hand::{Answer, ByHand, Decision, Refused, run as by_hand};
pub(crate) use report::report_of;
