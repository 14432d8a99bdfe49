//! One sync at a time: a second session of the same app would silently cancel the first.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Error, Options, Summary, engine};
use crate::app::App;

/// Waits for the app's turn, and runs one sync of it. Never fails as such: the summary says how it ended.
pub(crate) async fn run(app: &Arc<App>, options: Options, stop: &CancellationToken) -> Summary {
    let _turn = tokio::select! {
        biased;
        turn = app.sync_turn.lock() => turn,
        () = stop.cancelled() => {
            let detail = Error::Stopped.to_string();
            return Summary { result: "abandoned".into(), detail, dry_run: options.dry_run, ..Summary::default() };
        }
    };
    Box::pin(engine::run(app, options, stop)).await
}
