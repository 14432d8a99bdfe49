//! bridgehead connects the systems a company runs to Iden through the Bridge API.
//!
//! Most users need only the `bridgehead` command and configuration files; this library is for building a daemon with
//! your own connectors ([`Daemon`]) or embedding the [`runtime`]. A connector is written against `bridgehead-sdk`
//! alone.
//!
//! - [`bridge`]: the client of the Bridge API.
//! - [`config`]: the configuration, read and checked.
//! - [`journal`]: what must survive a crash.
//! - [`runtime`]: tasks and syncs.
//! - [`sandbox`]: a strict emulator of the Bridge API.
//! - [`admin`]: health, metrics and status over HTTP.
//! - [`cli`]: the command line.

#![allow(rustdoc::private_intra_doc_links, reason = "a module's page leads through its private parts too")]

pub mod admin;
pub mod bridge;
mod children;
pub mod cli;
pub mod config;
mod control;
mod daemon;
pub mod journal;
pub mod runtime;
pub mod sandbox;

pub use daemon::{Builder, Daemon};
