//! What an operator and their tools can see of a running daemon, over HTTP: `/healthz`, `/readyz`, `/metrics`, `/status`,
//! and a page for people at `/`.
//!
//! ```text
//! Listener ─ routes ─┬─ runtime::StatusReporter ─▶ runtime::StatusReport ─┬─ /status (JSON)
//!                    │                                          └─ words ─▶ page (/), `bridgehead status`
//!                    └─ metrics (/metrics)
//! ```
//!
//! It answers GET and HEAD, reads no bodies, changes nothing and has no secret: what it shows has passed through the
//! daemon's redactor. There is no password either, so it belongs on loopback. A page in a browser on the same machine is
//! kept out by `guard`.

mod error;
mod guard;
mod listener;
mod metrics;
mod page;
mod routes;
pub(crate) mod summary;

pub use error::Error;
pub use listener::Listener;
