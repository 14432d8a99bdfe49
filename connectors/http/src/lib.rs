//! A connector whose target is an application with a REST interface, by configuration alone.
//!
//! For operators: see `docs/connectors/http.md`.
//!
//! - `settings`: the keys of `target`
//! - `template`: templates and expressions, compiled once and checked against the variables that are known where they stand
//! - `request`, `rules`, `reply`: one request, what its answer means, and how the answer is read
//! - `target`, `login`: sending it with whatever shows who the connector is
//! - `pages`, `paging`, `link`, `signs`, `listings`: lists, page by page, and how it is known that they have ended
//! - `members`: memberships that only the groups show
//! - `mapping`: from what the target says of a record to a record
//! - `lookup`: looking one up: the one that is asked for, nobody, or an error
//! - `accounts`, `entities`: what is listed and looked up
//! - `twins`: two records with one identifier
//! - `actions`, `execute`: what the six actions do, checked and executed
//! - `look`, `rehearsal`: what syncs and tasks would fail on
//! - `application`: from settings to all of this
//! - `discovery`, `shape`: what `bridgehead init` finds out of an application that nothing is known of
//! - `connector`: the contract with the runtime

mod accounts;
mod actions;
mod application;
mod connector;
mod discovery;
mod entities;
mod execute;
mod link;
mod listings;
mod login;
mod look;
mod lookup;
mod mapping;
mod members;
mod pages;
mod paging;
mod rehearsal;
mod reply;
mod request;
mod rules;
pub mod settings;
mod shape;
mod signs;
mod target;
mod template;
mod twins;

pub use connector::{HttpConnector, factory};
pub use settings::Settings;
