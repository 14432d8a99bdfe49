//! Whether `admin.listen` can be listened on.

use super::super::context::Context;
use super::super::status;
use crate::admin::Listener;
use crate::control::Identity;
use bridgehead_runtime::inspection::Finding;

const WHAT: &str = "admin.listen";

/// Nothing where no listener is configured.
pub(super) async fn check(context: &Context, daemon: Option<&Identity>) -> Option<Finding> {
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
        (Some(other), _) => {
            Finding::failed(WHAT, format!("{listen} is in use by another bridgehead (process {})", other.pid))
                .advising("Stop that process, or set admin.listen to another port.")
        }
        (None, _) => Finding::failed(WHAT, refused.to_string()),
    })
}
