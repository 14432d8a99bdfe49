//! Retry, backoff and jitter: one implementation for everything that retries.
//!
//! - [`RetryPolicy`] determines how long to wait before each attempt. It is a pure function of the attempt and a random number.
//! - [`Retry`] runs a call until it succeeds, fails permanently, runs out of time, or is stopped.
//! - [`Backoff`] counts consecutive failures for an event loop that cannot hand its work to [`Retry`].
//! - [`SeededRng`] provides randomness to all of them; with the same seed, a test gets the same waits.
//! - [`Clock`] returns the time of day.
//! - [`Watched`] is a value that many tasks wait for; they wake up in the order in which they started to wait.

mod backoff;
mod clock;
mod policy;
mod retry;
mod rng;
mod watched;

pub use backoff::Backoff;
pub use clock::{Clock, SystemClock};
pub use policy::{Jitter, RetryPolicy};
pub use retry::{Attempt, Interrupted, Next, Retry, StopSignal, Unstoppable};
pub use rng::SeededRng;
pub use watched::Watched;
