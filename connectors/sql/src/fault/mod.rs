//! What goes wrong with a database, and what it means.
//!
//! - `kind`: the kinds of errors, and code, effect, retry and subject of each
//! - `postgres`, `mysql`, `sqlite`: which number is of which kind
//! - `told`: what a server said, without the values in it
//! - `verdict`: from a fault to the error of a connector

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
