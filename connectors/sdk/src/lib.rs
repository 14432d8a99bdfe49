#![doc = include_str!("../README.md")]
//!
//! # Where to start
//! - [`Connector`] is the contract.
//! - [`Operation`] is what a task requests, [`Completion`] the result, [`Error`] what went wrong.
//! - [`Page`], [`Cursor`] and [`Record`] are how a target is listed.
//! - [`Factory`] and [`Setup`] create a connector from a configuration file.
//! - [`Network`] has the trusted certificates and the proxy; with the feature `http`, the module `http` has a client that uses them.
//! - The crate `bridgehead-conformance` has the kit that tests a connector.
//! - [`Redactor`] keeps secrets out of logs and reports.
//!
//! The crate is small, and slow to change: connectors depend on it alone, never on the runtime.

mod account;
mod account_record;
mod action;
mod connector;
mod convert;
mod counted;
mod discovery;
mod error;
pub mod exact;
mod factory;
#[cfg(feature = "http")]
pub mod http;
mod id;
mod listing;
mod network;
mod once;
mod operation;
mod payload;
mod processes;
mod record;
mod redact;
mod resource;
mod same;
mod settings;
#[doc(hidden)]
pub mod signs;
#[cfg(feature = "tls")]
mod tls;
mod trace;
mod visible;

pub use account::{Account, AccountStatus};
pub use account_record::AccountRecord;
pub use action::{Action, UnknownAction};
pub use connector::{Completion, Connector, Context, Description};
pub use counted::counted;
pub use discovery::{Check, Discovered, Discovery, Draft, Question, Section, Setting, with_discovery};
pub use error::{Code, Effect, Error, Retry, Subject, UnknownCode};
pub use factory::{Factory, Setup, factory};
pub use id::{AccountId, Slug, TaskId};
pub use listing::{Cursor, Evidence, Page};
pub use network::{Network, NetworkError};
pub use once::duplicate_member;
pub use operation::{
    CreateAccount, DeleteAccount, Operation, ResetPassword, SuspendAccount, UnsuspendAccount, UpdateAccount,
};
pub use payload::{Payload, PayloadError};
pub use processes::ProcessRegistry;
pub use record::{EntityRecord, Memberships, Record, Ref, RejectedRecord};
pub use redact::{Protection, REDACTED, Redactor, is_secret_name};
pub use resource::{ResourceKind, ResourceType};
pub use same::{comparable_id, composed, folded, is_same_id, is_same_name, spellings};
pub use settings::{SettingsError, nearest};
pub use signs::{fault_beside_records, fault_in};
pub use trace::Trace;
pub use visible::{is_invisible, visible};

// The crates used in the contract, re-exported so that a connector uses the same versions without depending on them
// directly.
pub use async_trait::async_trait;
#[cfg(feature = "tls")]
pub use rustls;
pub use schemars;
pub use secrecy::{self, ExposeSecret, SecretString};
pub use serde;
pub use serde_json;
/// For logging. The daemon adds the app to what a connector logs, and removes known secrets.
pub use tracing;
pub use url;
pub use zeroize;
