//! The HTTP client that connectors share: one policy for transport, none for retries.
//!
//! - [`Client`] sends a request once, within bounds of time and size, follows no redirect, and says of every failure what it did to the
//!   target.
//! - [`Answer`] is what came back, whole; [`Answer::refusal`] is what its status usually means.
//! - [`retry_after`] and [`body`] are the pieces it is made of.

mod answer;
pub mod body;
mod client;
pub mod retry_after;

pub use answer::Answer;
pub use client::{Client, Limits};
pub use reqwest;
