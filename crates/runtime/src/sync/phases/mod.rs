//! The phases of a sync: `Preparing → Reading → Reconciling → Checking → Completing`. Each is consumed by the next, so that nothing
//! can be done out of turn: no phase but [`Checking`] makes a [`CompletionPermit`], and no phase but [`Completing`] has one.
//!
//! A phase borrows the run exclusively. What the end of the sync needs is in the run's record, and survives an error or a stop in
//! the middle of any phase.

pub(crate) mod checking;
pub(crate) mod completing;
mod preparing;
pub(crate) mod reading;
mod reconciling;

pub(super) use checking::{Checking, CompletionPermit};
pub(super) use completing::Completing;
pub(super) use preparing::Preparing;
pub(super) use reading::Reading;
pub(super) use reconciling::Reconciling;
