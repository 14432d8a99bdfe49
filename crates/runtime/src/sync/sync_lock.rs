//! One sync at a time: a second session of the same app would silently cancel the first.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Error, Options, Summary, sync_run};
use crate::app::AppContext;

/// Waits for the app's turn, and runs one sync of it. Never fails as such: the summary says how it ended.
pub(crate) async fn run(app: &Arc<AppContext>, options: Options, stop: &CancellationToken) -> Summary {
    let _turn = tokio::select! {
        biased;
        turn = app.sync_lock.lock() => turn,
        () = stop.cancelled() => {
            let (error, dry_run) = (Error::ShuttingDown, options.dry_run);
            let (result, reason) = (error.outcome().result(), error.outcome().reason());
            return Summary { result, reason, detail: error.to_string(), dry_run, ..Summary::default() };
        }
    };
    let span = tracing::info_span!("sync", app = %app.name, dry_run = options.dry_run);
    Box::pin(sync_run::run(app, options, stop)).instrument(span).await
}
