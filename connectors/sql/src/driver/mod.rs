//! One way to speak with three kinds of databases.
//!
//! sqlx's own `Any` refuses UUIDs, numerics and time stamps; here every value is read as JSON instead.
//!
//! - `session`: what a connection can do
//! - `target`: how it is made
//! - `postgres`, `mysql`, `sqlite`: a connection of each kind
//! - `postgres_values`, `mysql_values`: from the wire to JSON
//! - `trust`: whose certificates are trusted

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
