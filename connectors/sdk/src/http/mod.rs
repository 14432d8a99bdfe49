//! The HTTP client that connectors share: one policy for transport, none for retries.
//!
//! - [`Client`] sends a request once, within bounds of time and size, follows no redirect, and says of every failure what it did to the
//!   target.
//! - [`Auth`] is how a configuration says who the connector is, [`Credential`] what puts that on requests.
//! - [`LimitSettings`] and [`endpoint`] are the other keys that such connectors have in common.
//! - [`Answer`] is what came back, whole; [`Answer::refusal`] is what its status usually means.
//! - [`Shown`] counts the distinct records of a listing, which is the proof that none is missing.
//! - [`Access`] is what `bridgehead init` asks for an [`Auth`].
//! - [`Recording`] writes the exchanges with a real target to a file, and answers from it in tests.
//! - [`retry_after`] and [`body`] are the pieces it is made of.

mod access;
mod answer;
mod auth;
pub mod body;
mod client;
mod credential;
#[doc(hidden)]
pub mod proxy;
pub mod recording;
pub mod retry_after;
mod settings;
mod shown;
mod token;

pub use access::Access;
pub use answer::Answer;
pub use auth::{ApiKey, Auth, Basic, ClientAuthentication, ClientCredentials};
pub use client::{Client, Limits};
pub use credential::Credential;
pub use recording::{Recording, RecordingError};
pub use reqwest;
pub use settings::{FriendlyDuration, LimitSettings, endpoint};
pub use shown::Shown;
