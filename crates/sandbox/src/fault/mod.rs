//! Faults: rules that make requests fail on purpose.

mod apply;
mod pattern;
mod register;
mod rule;

pub(crate) use apply::{Outcome, canned, spoil};
pub use pattern::PathPattern;
pub(crate) use register::Faults;
pub use register::{FaultId, FaultStatus};
pub use rule::{Canned, Effect, Fault, Loss, Times};
