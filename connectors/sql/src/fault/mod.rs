//! Failures of a database, and their meaning.
//!
//! - `kind`: the kinds of errors, with the code, effect, retry and subject of each
//! - `postgres`, `mysql`, `sqlite`: which error number is of which kind
//! - `message`: the server's message, without values
//! - `verdict`: converts a fault to an error of the connector

mod kind;
mod message;
mod mysql;
mod postgres;
mod sqlite;
mod verdict;

pub(crate) use kind::Kind;
pub(crate) use message::read;
pub(crate) use message::{Fault, ServerMessage};
pub(crate) use verdict::{Doing, Verdicts, noun, subject};
