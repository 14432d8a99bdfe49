//! Checks whether `admin.listen` can be bound.

use super::super::context::Context;
use super::super::status;
use crate::admin::Listener;
use crate::control::Identity;
use bridgehead_runtime::inspection::Finding;

const WHAT: &str = "admin.listen";

/// Whether the token of the page can be read, if it is configured. A running daemon has its own copy of it.
pub(super) fn token(context: &Context, daemon: Option<&Identity>) -> Option<Finding> {
    const WHAT: &str = "admin.token";
    match (context.page_token(), daemon) {
        (Ok(None), _) => None,
        (Ok(Some(_)), _) => Some(Finding::ok(WHAT, "found")),
        (Err(failure), Some(_)) => {
            let why = failure.message();
            let found = format!("cannot be used here; not needed, because the running daemon has loaded its own copy ({why})");
            Some(Finding::skipped(WHAT, found))
        }
        (Err(failure), None) => Some(
            Finding::failed(WHAT, failure.message().trim_start_matches("admin.token: "))
                .advising("Write the token where admin.token says it is, or remove the key: then the page shows, and cannot act."),
        ),
    }
}

/// `None` if no listener is configured. `is_hidden` is whether a daemon may run that this user may not ask who it is.
pub(super) async fn check(context: &Context, daemon: Option<&Identity>, is_hidden: bool) -> Option<Finding> {
    let listen = context.config.admin.as_ref()?.listen;
    let refused = match Listener::bind(listen).await {
        Ok(listener) => {
            drop(listener);
            return Some(if listen.ip().is_loopback() {
                Finding::ok(WHAT, format!("{listen} is available"))
            } else {
                Finding::warning(
                    WHAT,
                    format!(
                        "{listen} is available, but open to the network: anyone who can reach it can \
                             read the daemon's state"
                    ),
                )
                .advising("There is no authentication: bind to loopback.")
            });
        }
        Err(refused) => refused,
    };
    let answering = status::ask(listen).await.ok().and_then(|overview| overview.daemon);
    Some(match (answering, daemon) {
        (Some(answering), Some(daemon)) if answering.pid == daemon.pid => {
            Finding::ok(WHAT, format!("the running daemon responds on {listen}"))
        }
        // It is probably the daemon of this configuration: "stop it" would be bad advice.
        (Some(answering), None) if is_hidden => Finding::skipped(
            WHAT,
            format!(
                "a bridgehead (process {}) responds on {listen}; as this user, it is not known whether it is the daemon of \
                 this configuration",
                answering.pid
            ),
        ),
        (Some(other), _) => {
            Finding::failed(WHAT, format!("{listen} is in use by another bridgehead (process {})", other.pid))
                .advising("Stop that process, or set admin.listen to another port.")
        }
        (None, _) => {
            let why = refused.to_string();
            Finding::failed(WHAT, why.trim_start_matches("admin.listen: "))
        }
    })
}
