//! A connector whose target is a database: PostgreSQL, MySQL, MariaDB or SQLite.
//!
//! The statements stand in the configuration, with named parameters that are always bound and never pasted. Each action is one
//! transaction, and looks at its end whether it had the effect that it is for.
//!
//! What operators need to know stands in `docs/connectors/sql.md`.
//!
//! - `settings`: the keys of `target`
//! - `plan`: what they amount to; everything that can be told to be wrong without the database
//! - `driver`: one way to speak with three kinds of databases
//! - `pool`: connections that are used again
//! - `fault`: what goes wrong with a database, and what it means
//! - `value`, `rows`: to the database, and from it
//! - `find`, `listing`: reading
//! - `operations`: changing
//! - `scram`: what PostgreSQL keeps of a password
//! - `connector`: the contract with the runtime

mod connector;
mod driver;
mod fault;
mod find;
mod listing;
mod operations;
mod plan;
mod pool;
mod rows;
mod scram;
mod settings;
mod target;
mod value;

pub use connector::{SqlConnector, factory};
pub use settings::{
    AccountsSettings, ActionSettings, Engine, ErrorSettings, ExpectSettings, FieldSettings, Fields, IdType,
    MemberSettings, Paging, ParameterSettings, PoolSettings, RetrySettings, RunSettings, Settings,
    StepSettings, SubjectSettings, TypeSettings,
};
