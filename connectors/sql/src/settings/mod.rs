//! The keys of `target`.

mod accounts;
mod connection;
mod hashes;
mod rules;
mod step;
mod types;

pub use accounts::{AccountsSettings, FieldSettings, Fields, IdType, Paging};
pub use connection::{Engine, PoolSettings, Settings};
pub use hashes::{
    Argon2idSettings, BcryptSettings, HashSettings, Pbkdf2Settings, ScryptSettings, ShaCryptSettings,
    YescryptSettings,
};
pub use rules::{ErrorSettings, ParameterSettings, RetrySettings, SubjectSettings};
pub use step::{ActionSettings, ExpectSettings, RunSettings, StepSettings};
pub use types::{MemberSettings, TypeSettings};
