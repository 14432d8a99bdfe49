//! A common interface for three kinds of databases.
//!
//! sqlx's own `Any` does not support UUIDs, numerics and time stamps; here every value is read as JSON instead.
//!
//! - `session`: the operations of a connection
//! - `target`: opening a connection
//! - `postgres`, `mysql`, `sqlite`: a connection of each kind
//! - `postgres_values`, `mysql_values`: converting wire formats to JSON
//! - `trust`: which certificates are trusted

mod mysql;
mod mysql_values;
mod postgres;
mod postgres_values;
mod session;
mod sqlite;
mod target;
mod trust;

pub(crate) use session::{Answer, Columns, Row, Session, Transaction};
pub(crate) use target::{Target, duration};
