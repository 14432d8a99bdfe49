//! A connector for applications with a REST API, defined by configuration alone.
//!
//! For operators: see `docs/connectors/http.md`.
//!
//! - `settings`: the keys of `target`
//! - `template`: templates and expressions, compiled once and checked against the variables that are known in their place
//! - `request`, `rules`, `reply`: one request, what its response means, and how to read the response
//! - `target`, `login`: sending requests with the connector's credential
//! - `pages`, `paging`, `link`, `signs`, `listings`: reading lists page by page, and proving that they are complete
//! - `members`: memberships that only the groups show
//! - `mapping`: converts a target's record to a bridgehead record
//! - `lookup`: looking up one record: found, missing, or an error
//! - `accounts`, `entities`: listing and look-up of each resource type
//! - `twins`: two records with one identifier
//! - `actions`, `execute`: the six actions, checked and executed
//! - `look`, `rehearsal`: finds what syncs and tasks would fail on
//! - `application`: builds all of this from the settings
//! - `discovery`, `shape`: what `bridgehead init` finds out about an unknown application
//! - `connector`: the implementation of the connector contract

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
