//! What an operator and their tools can see of a running daemon, over HTTP: `/healthz`, `/readyz`, `/metrics`, `/status`,
//! and pages for people at `/`, on which they can act as well.
//!
//! ```text
//! Listener ─ guard ─ routes ─┬─ /status (JSON), /metrics, /healthz, /readyz
//!                            ├─ looking ─ pages (templates, charts, lists, CSV) ◀─ summary ─▶ `bridgehead status`
//!                            ├─ acting ─ session, actions ─▶ runtime::Runtime
//!                            └─ events (what tells a page to renew itself)
//! ```
//!
//! Reading changes nothing and exposes no secret: what is shown has passed through the daemon's redactor. Everyone who can reach the
//! listener can read it, so it belongs on loopback. The account that a task is about, and everything that changes something, need the
//! token of the configuration (`session`). A page in a browser on the same machine is kept out by `guard`.

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
