//! Carrying out operations, each in one transaction.
//!
//! - `inputs`: what the parameters of an operation stand for
//! - `run`: the statements and checks of an action
//! - `members`: what an account is a member of
//! - `execute`: the six actions, from BEGIN to COMMIT

mod execute;
mod inputs;
mod members;
mod run;
