//! The plan: the settings as parsed, checked and executable statements.
//!
//! Every mistake that is visible without the database is an error here, and names its key.
//!
//! - `lexer`: replaces `:name` with the engine's placeholders
//! - `parameter`: what a name means, and where it is allowed
//! - `statement`: one statement
//! - `records`: how accounts, groups and licenses are read
//! - `steps`: the steps of an action
//! - `writes`: which table a statement uses, as far as this can be determined
//! - `build`: builds the plan

mod build;
mod lexer;
mod parameter;
mod records;
mod statement;
mod steps;
mod writes;

pub(crate) use build::{Override, Plan};
pub(crate) use parameter::{Kind, Parameter, Source};
pub(crate) use records::{Listing, Members, Type};
pub(crate) use statement::Statement;
pub(crate) use steps::{Expectation, Refusal, Role, Step};
pub(crate) use writes::{reads_from, shows_rows_of, writes};
