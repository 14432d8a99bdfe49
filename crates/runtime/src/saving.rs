//! Writes to the state what a later sync must know, and retries while the state cannot be written.

use bridgehead_resilience::{Interrupted, Next};
use bridgehead_store as journal;
use tokio_util::sync::CancellationToken;

use crate::app::AppContext;
use crate::policies;

/// Makes a write that must not be lost: retries while the state cannot be written (the database is away, the disk is full), until the
/// daemon stops or this node has lost the app. What is not written then is treated as after a crash.
pub(crate) async fn save<F>(
    app: &AppContext,
    stop: &CancellationToken,
    what: &'static str,
    write: impl Fn() -> F,
) -> Result<(), journal::Error>
where
    F: Future<Output = Result<(), journal::Error>>,
{
    let retry = app.retry(policies::LOCAL).until(stop);
    let mut last = None;
    let saved = retry.run(
        |attempt| {
            let written = write();
            async move {
                match written.await {
                    // An earlier attempt has ended the listing, and its response was lost.
                    Err(journal::Error::NoListing { .. }) if attempt > 1 => Ok(()),
                    written => written,
                }
            }
        },
        unless_final,
        |failed| {
            tracing::error!(app = %app.name, error = %failed.error, wait = ?failed.wait, "{what} could not be saved; retrying");
            app.status.wrote(Some(failed.error));
            last = Some(failed.error.clone());
        },
    );
    let saved = saved.await.map_err(|interrupted| match interrupted {
        Interrupted::Failed(error) => error,
        Interrupted::Stopped => last.unwrap_or(journal::Error::Closed),
    });
    app.status.wrote(saved.as_ref().err());
    saved
}

/// Retries what may pass, or what an operator can repair while the daemon runs.
fn unless_final(error: &journal::Error) -> Next {
    match error {
        journal::Error::Fenced { .. }
        | journal::Error::NotOurs { .. }
        | journal::Error::NoListing { .. }
        | journal::Error::Moved { .. }
        | journal::Error::TooNew { .. }
        | journal::Error::Corrupt { .. }
        | journal::Error::Unreadable { .. }
        | journal::Error::Closed => Next::GiveUp,
        _ => Next::Retry,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::*;
    use crate::fakes::{Place, Script};

    struct Nothing;

    impl Script for Nothing {}

    fn app_key() -> journal::AppKey {
        "11111111-1111-4111-8111-111111111111".parse().unwrap()
    }

    fn away() -> journal::Error {
        journal::Error::Full { path: "/state/listings.db".into() }
    }

    fn nothing_there() -> journal::Error {
        journal::Error::NoListing { app: app_key() }
    }

    /// Saves with these results, one after another. Stops the daemon during the wait after the given number of writes. Returns the result
    /// and the number of writes.
    fn saved(
        results: impl IntoIterator<Item = Result<(), journal::Error>>,
        stop_after: usize,
    ) -> (Result<(), journal::Error>, usize) {
        let place = Place::new();
        let app = place.app(&Arc::new(Nothing));
        let stop = CancellationToken::new();
        let (results, writes) = (RefCell::new(VecDeque::from_iter(results)), Cell::new(0));
        let write = || {
            writes.set(writes.get() + 1);
            if writes.get() == stop_after {
                stop.cancel();
            }
            let result = results.borrow_mut().pop_front().expect("no further write");
            async { result }
        };
        let result = place.runtime.block_on(async {
            tokio::time::pause();
            save(&app, &stop, "it", write).await
        });
        (result, writes.get())
    }

    #[test]
    fn write_is_repeated_until_the_state_can_be_written() {
        let (result, writes) = saved((0..20).map(|_| Err(away())).chain([Ok(())]), 0);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(writes, 21);
    }

    #[test]
    fn write_whose_response_was_lost_counts_as_saved() {
        let (result, writes) = saved([Err(away()), Err(nothing_there())], 0);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(writes, 2);
        let (result, writes) = saved([Err(nothing_there())], 0);
        assert!(matches!(result, Err(journal::Error::NoListing { .. })), "{result:?}");
        assert_eq!(writes, 1);
    }

    #[test]
    fn write_is_not_repeated_by_a_node_that_has_lost_the_app() {
        let (result, writes) = saved([Err(away()), Err(journal::Error::Fenced { app: app_key() })], 0);
        assert!(matches!(result, Err(journal::Error::Fenced { .. })), "{result:?}");
        assert_eq!(writes, 2);
    }

    #[test]
    fn stop_ends_the_wait_but_not_the_first_write() {
        let (result, writes) = saved([Err(away())], 1);
        assert!(matches!(result, Err(journal::Error::Full { .. })), "{result:?}");
        assert_eq!(writes, 1);
        let (result, writes) = saved([Ok(())], 1);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(writes, 1);
    }
}
