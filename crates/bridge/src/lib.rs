//! The client of the Iden Bridge API.
//!
//! [`Api`] is the Bridge's interface as a trait, so that the runtime can be tested against a fake; [`Client`] is the one implementation
//! that uses HTTP, through an [`Exchange`]. [`Error`] has a variant for every status of the Error Reference and answers four questions
//! about it: whether it is temporary, what effect the call had, whether access was denied, and what to do.
//!
//! `transport` alone decides how calls are sent: limits on time and size, the key, retries. `breaker` decides when they may be sent: a
//! `429` pauses all calls of a client, and during an outage they are sent one at a time.

#![allow(rustdoc::private_intra_doc_links, reason = "a module's page leads through its private parts too")]

mod answer;
mod api;
mod app;
mod beginning;
mod breaker;
mod call;
mod client;
mod clock;
mod coalesced;
mod endpoint;
mod error;
mod exchange;
#[doc(hidden)]
pub mod fuzz;
mod health;
mod help;
mod id;
mod key;
mod limiter;
mod listing;
mod next;
mod precondition;
mod progress;
mod read;
mod record;
mod report;
mod resource;
mod sanitize;

mod lenient_json;
mod settings;
mod spelling;
mod status;
mod task;
#[cfg(test)]
mod tests;
mod transport;

pub use api::Api;
pub use app::{App, NewApp};
pub use beginning::FirstItem;
pub use call::{Call, Operation};
pub use client::Client;
pub use clock::ClockReading;
pub use error::{BrokenRule, Error};
pub use exchange::{Environment, Exchange, Undelivered};
pub use health::Health;
pub use id::{AppId, InvalidAppId, SyncId};
pub use key::{ApiKey, KeyError, KeySource};
pub use lenient_json::UNREADABLE;
pub use next::NextPage;
pub use precondition::Precondition;
pub use progress::{Progress, Pushed, SyncError, SyncStatus, TypeProgress};
#[doc(hidden)]
pub use record::one as record_on_the_wire;
pub use record::{WireRecord, write as write_record};
pub use report::Report;
pub use resource::Registration;
pub use settings::{BuildError, RateLimit, Refs, Retry, Settings};
pub use status::TaskStatus;
pub use task::TOO_LARGE;
pub use task::{Task, TaskPage, TaskQuery};
