//! The phases of a sync: `Preparing → Reading → Reconciling → Checking → Completing`. Each is consumed by the next, so the order cannot be
//! violated: only [`Checking`] creates a [`CompletionPermit`], and only [`Completing`] has one.
//!
//! A phase borrows the run exclusively. Everything needed at the end of the sync is in the run's record, which survives an error or a stop
//! in the middle of any phase.

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
