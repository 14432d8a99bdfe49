//! What the settings amount to: statements that were split, checked against one another, and can be run.
//!
//! Everything that can be told to be wrong without the database is an error here, and names its key.
//!
//! - `lexer`: from `:name` to the placeholders of the engine
//! - `parameter`: what a name stands for, and where it may stand
//! - `statement`: one statement
//! - `records`: how accounts, groups and licenses are read
//! - `steps`: what an action runs
//! - `writes`: which table a statement is about, as far as it can be told
//! - `build`: the whole

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
pub(crate) use writes::{reads_from, writes};
