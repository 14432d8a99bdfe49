//! A condition that must hold when a request is sent. Calls wait for the breaker and the rate limit, and much can happen until then.

use std::fmt;
use std::sync::Arc;

/// A condition that is checked immediately before a request is sent.
#[derive(Clone)]
pub struct Precondition(Arc<dyn Fn() -> bool + Send + Sync>);

impl Precondition {
    /// A condition that holds if this function returns `true`.
    pub fn new(holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// Whether the condition holds now.
    pub fn holds(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Precondition")
    }
}
