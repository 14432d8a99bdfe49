//! What goes wrong with a database, and what it means.
//!
//! - `kind`: the kinds of errors, and code, effect, retry and subject of each
//! - `postgres`, `mysql`, `sqlite`: which number is of which kind
//! - `told`: what a server said, without the values in it
//! - `verdict`: from a fault to the error of a connector

mod kind;
mod mysql;
mod postgres;
mod sqlite;
mod told;
mod verdict;

pub(crate) use kind::Kind;
pub(crate) use told::read;
pub(crate) use told::{Fault, Told};
pub(crate) use verdict::{Doing, Verdicts, noun, subject};
