//! bridgehead connects the systems a company runs to Iden through the Bridge API.
//!
//! Most users need only the `bridgehead` command and configuration files; this library is for building a daemon with
//! your own connectors ([`Daemon`]) or embedding the [`runtime`]. A connector is written against `bridgehead-sdk`
//! alone.
//!
//! - [`bridge`]: the client of the Bridge API.
//! - [`config`]: parsing and validation of the configuration.
//! - [`journal`]: data that must survive a crash.
//! - [`runtime`]: tasks and syncs.
//! - [`sandbox`]: a strict emulator of the Bridge API.
//! - [`admin`]: health, metrics and status over HTTP.
//! - [`cli`]: the command line.

#![allow(rustdoc::private_intra_doc_links, reason = "a module's page leads through its private parts too")]

pub mod admin;
mod children;
pub mod cli;
mod control;
mod daemon;

pub use bridgehead_bridge as bridge;
pub use bridgehead_config as config;
pub use bridgehead_runtime as runtime;
#[cfg(feature = "sandbox")]
pub use bridgehead_sandbox as sandbox;
pub use bridgehead_store as journal;
pub use daemon::{Builder, Daemon};
