//! A connector for databases: PostgreSQL, MySQL, MariaDB and SQLite.
//!
//! The statements are in the configuration, with named parameters that are always bound and never inserted into the text. Each action is
//! one transaction, and checks at its end that it had the intended effect.
//!
//! For operators: see `docs/connectors/sql.md`.
//!
//! - `settings`: the keys of `target`
//! - `plan`: the checked configuration; finds every mistake that is visible without the database
//! - `driver`: a common interface for three kinds of databases
//! - `pool`: reusable connections
//! - `fault`: failures of a database, and their meaning
//! - `value`, `rows`: values sent to the database, and records read from it
//! - `find`, `listing`: look-ups and listings
//! - `proof`, `snapshots`: proves that a listing is complete, and keeps the state of the database that it reads
//! - `operations`: the actions
//! - `taken`: finds the existing account that has a name
//! - `hash`, `scram`: password hashes of applications and of PostgreSQL
//! - `check`, `catalogue`: checks a configuration against the database
//! - `discovery`, `tables`, `guess`: what `bridgehead init` finds out about an unknown database
//! - `traced`: what a trace shows of statements and results
//! - `connector`: the implementation of the connector contract

mod catalogue;
mod check;
mod connector;
mod discovery;
mod driver;
mod fault;
mod find;
mod guess;
mod hash;
mod listing;
mod operations;
mod plan;
mod pool;
mod proof;
mod rows;
mod scram;
mod settings;
mod snapshots;
mod tables;
mod taken;
mod target;
mod traced;
mod value;

pub use connector::{SqlConnector, factory};
pub use settings::{
    AccountsSettings, ActionSettings, Argon2idSettings, BcryptSettings, Engine, ErrorSettings,
    ExpectSettings, FieldSettings, Fields, HashSettings, IdType, MemberSettings, Paging, ParameterSettings,
    Pbkdf2Settings, PoolSettings, RetrySettings, RunSettings, ScryptSettings, Settings, ShaCryptSettings,
    StepSettings, SubjectSettings, TypeSettings, YescryptSettings,
};
