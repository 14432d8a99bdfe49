//! The HTTP client that connectors share: one policy for transport, none for retries.
//!
//! - [`Client`] sends a request once, within limits of time and size. It follows no redirects, and each error says what the request did to
//!   the target.
//! - [`Auth`] is how a configuration declares the connector's authentication; [`Credential`] adds it to requests.
//! - [`LimitSettings`] and [`endpoint`] are other keys that HTTP connectors have in common.
//! - [`Answer`] is the complete response; [`Answer::refusal`] says what its status usually means.
//! - [`Shown`] counts the distinct records of a listing, as evidence that none is missing.
//! - [`Access`] has the questions of `bridgehead init` about [`Auth`].
//! - [`Recording`] writes the exchanges with a real target to a file, and replays them in tests.
//! - [`retry_after`] and [`body`] are its building blocks.

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
