//! What operators and their tools can see of a running daemon over HTTP: `/healthz`, `/readyz`, `/metrics`, `/status`, and pages for people
//! at `/`, which also offer actions.
//!
//! ```text
//! Listener ─ guard ─ routes ─┬─ /status (JSON), /metrics, /healthz, /readyz
//!                            ├─ looking ─ pages (templates, charts, lists, CSV) ◀─ summary ─▶ `bridgehead status`
//!                            ├─ acting ─ session, actions ─▶ runtime::Runtime
//!                            └─ events (notify a page of changes)
//! ```
//!
//! Reading changes nothing and exposes no secret: all output passes the daemon's redactor. Every client that can reach the listener can
//! read it, so it belongs on loopback. The account of a task, and every change, require the token of the configuration (`session`). `guard`
//! keeps out web pages in a browser on the same machine.

mod acting;
mod actions;
mod audited;
mod chart;
mod csv;
mod error;
mod events;
mod guard;
mod listener;
mod looking;
mod metrics;
mod pages;
mod query;
mod refusals;
mod routes;
mod session;
mod site;
pub(crate) mod summary;

pub(crate) use actions::Operator;
pub use error::Error;
pub use listener::Listener;
pub(crate) use session::Access;
