//! Configuration: reads and checks the operator's files before anything is started.
//!
//! ```text
//! files, environment ─ sources ─▶ documents ─ layers ─▶ one tree ─ reader, rules ─▶ Config ─ build_connector ─▶ connectors
//! ```
//!
//! The types of [`Config`] are the only description of the configuration: serde parses them, their `Default` has the defaults, and schemars
//! derives the schema from them, which in turn defines the known keys, their bounds, the error messages and the key tables in `docs/`.
//! `rules` checks conditions across several keys. To add a key, only a field must be added.
//!
//! Everything after reading is pure: the environment is passed in, nothing is opened, and nothing is spawned. Each value in the tree has
//! the file, line and column (or the environment variable) that it comes from, and each error shows it. All errors are collected, and none
//! contains a value: a misplaced value may be a secret.
//!
//! - [`load`] reads [`Sources`] into a [`Config`]; [`parse`] does the same from strings.
//! - [`Secret`] is a reference to a secret; it is read when needed, and the secret is never part of the configuration.
//! - [`Network`] has the trusted certificates and the proxy; [`Network::resolve`] reads the files and secrets that it refers to.
//! - [`build_connector`] resolves the secrets of an app's `target` and creates its connector.
//! - [`schema`] describes the whole file for editors, [`show`] shows the merged layers.
//!
//! # Layers
//! The defaults, then the files in the given order (those of a folder by name), then the environment. Later layers take precedence; tables
//! merge, lists are replaced. Two things are replaced as a whole because their keys exclude each other: a reference to a secret, and the
//! schedule of a sync (`every`, or `cron` with `timezone`).

#![allow(rustdoc::private_intra_doc_links, reason = "a module's page leads through its private parts too")]

mod app;
mod build;
mod conformance;
mod defaults;
mod difference;
mod duration;
mod environment;
mod error;
mod ignored;
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

/// The connectors that an app may use, and their factories.
pub type Connectors = BTreeMap<String, Arc<dyn bridgehead_sdk::Factory>>;
