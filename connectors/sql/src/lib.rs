//! A connector whose target is a database: PostgreSQL, MySQL, MariaDB or SQLite.
//!
//! The statements stand in the configuration, with named parameters that are always bound and never pasted. Each action is one
//! transaction, and looks at its end whether it had the effect that it is for.
//!
//! For operators: see `docs/connectors/sql.md`.
//!
//! - `settings`: the keys of `target`
//! - `plan`: what they amount to; everything that can be told to be wrong without the database
//! - `driver`: one way to speak with three kinds of databases
//! - `pool`: connections that are used again
//! - `fault`: what goes wrong with a database, and what it means
//! - `value`, `rows`: to the database, and from it
//! - `find`, `listing`: reading
//! - `proof`, `snapshots`: what shows that a listing is whole, and the state of the database that it reads
//! - `operations`: changing
//! - `taken`: whose the name is that is taken
//! - `hash`, `scram`: what applications, and PostgreSQL itself, keep of a password
//! - `check`, `catalogue`: what the database says of a configuration
//! - `discovery`, `tables`, `guess`: what `bridgehead init` finds out of a database that nothing is known of
//! - `traced`: what is shown of statements and answers
//! - `connector`: the contract with the runtime

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
