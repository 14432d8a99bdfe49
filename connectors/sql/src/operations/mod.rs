//! Executes operations, each in one transaction.
//!
//! - `inputs`: the values of an operation's parameters
//! - `base`: the tables behind the view that accounts are read from
//! - `run`: the statements and checks of an action
//! - `members`: memberships of an account
//! - `execute`: the six actions, from BEGIN to COMMIT

mod base;
mod execute;
mod inputs;
mod members;
mod run;
