//! Configuration: what the operator writes, read and checked before anything is started.
//!
//! ```text
//! files, environment ─ sources ─▶ documents ─ layers ─▶ one tree ─ reader, rules ─▶ Config ─ build_connector ─▶ connectors
//! ```
//!
//! The types of [`Config`] are the one description of the configuration: serde reads them, their `Default` is what holds when nobody
//! says anything else, and schemars makes the schema of them, from which the known keys, the bounds, the words of errors and the tables
//! of keys in `docs/` come. `rules` has what is about several keys. A new key is a field, and no more.
//!
//! Everything after reading is pure: the environment is passed in, nothing is opened, and nothing is spawned. Each
//! value in the tree knows the file, line and column (or the environment variable) it came from, and each error
//! says so. All errors are collected, and none holds a value: what stands at the wrong place may be a secret.
//!
//! - [`load`] reads [`Sources`] into a [`Config`]; [`parse`] does the same from texts.
//! - [`Secret`] is a reference to a secret; it is read when it is needed, and never stands in the configuration.
//! - [`Network`] has the trusted certificates and the proxy; [`Network::resolve`] reads the files and secrets that it names.
//! - [`build_connector`] resolves the secrets of an app's `target` and makes its connector.
//! - [`schema`] describes the whole file for editors, [`show`] shows what the layers amount to.
//!
//! # Layers
//! The defaults, then the files in the order given (those of a folder by name), then the environment. Later wins;
//! tables merge, lists replace. Two things are replaced as a whole: a reference to a secret, and the schedule of a
//! sync (`every`, or `cron` with `timezone`), for their keys exclude one another.

#![allow(rustdoc::private_intra_doc_links, reason = "a module's page leads through its private parts too")]

mod app;
mod build;
mod conformance;
mod defaults;
mod difference;
mod duration;
mod environment;
mod error;
mod key_table;
mod keys;
mod layers;
mod leaf;
mod load;
mod log_level;
mod model;
mod network;
mod origin;
mod pattern;
mod reader;
mod rules;
mod schedule;
mod schema;
mod secret;
mod show;
mod sources;
mod suspicious;
mod target;
mod tree;
mod values;
mod words;

#[cfg(test)]
mod tests;

pub use app::{App, FirstSync, Guard, OnInvalid, Protect, Sync, TaskGuard, Tasks, WithoutProof};
pub use build::build_connector;
pub use conformance::Conformance;
#[cfg(feature = "conformance")]
pub use conformance::checks_named;
pub use difference::{Difference, Reading, Settings, read, state_path};
pub use error::{Error, Errors};
pub use key_table::{conformance_keys, target_keys};
pub use load::{load, parse};
pub use model::{Admin, Audit, Bridge, Config, Log, LogFormat, RateLimit, Refs, Runtime, State};
pub use network::Network;
pub use origin::Origin;
pub use pattern::{Pattern, PatternError};
pub use schedule::Schedule;
pub use schema::schema;
pub use secret::{Secret, SecretError};
#[doc(hidden)]
pub use show::show_documents;
pub use show::{Shown, show};
pub use sources::{Document, Sources};
pub use target::{ResolvedTarget, Target};

use std::collections::BTreeMap;
use std::sync::Arc;

/// The connectors that an app may name, and what makes them.
pub type Connectors = BTreeMap<String, Arc<dyn bridgehead_sdk::Factory>>;
