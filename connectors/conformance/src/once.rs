//! A value that several checks need: computed once, and not again if time ran out.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use super::finding::{Verdict, skipped};

/// A value that takes a long time to compute.
#[derive(Debug)]
pub(super) struct Once<T> {
    cell: OnceCell<T>,
    begun: AtomicBool,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { cell: OnceCell::new(), begun: AtomicBool::new(false) }
    }
}

impl<T> Once<T> {
    /// The value, which is computed by the first caller. If that check runs out of time, it is dropped in the middle: later checks would
    /// take as long, and are skipped.
    pub(super) async fn get<F: Future<Output = T>>(&self, make: impl FnOnce() -> F) -> Verdict<&T> {
        if let Some(value) = self.cell.get() {
            return Ok(value);
        }
        if self.begun.swap(true, Ordering::SeqCst) {
            return skipped("an earlier check on which this one depends did not finish in time");
        }
        Ok(self.cell.get_or_init(make).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Finding;

    #[tokio::test]
    async fn dropped_initialization_is_not_restarted() {
        let once = Once::default();
        let never = once.get(std::future::pending::<u8>);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), never).await.is_err());
        assert!(matches!(once.get(|| async { 7 }).await, Err(Finding::Skipped(_))));
        let once = Once::default();
        assert_eq!(*once.get(|| async { 7 }).await.unwrap(), 7);
        assert_eq!(*once.get(|| async { 8 }).await.unwrap(), 7);
    }
}
