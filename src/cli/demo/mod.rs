//! `bridgehead demo`: shows everything with sample people, without an account or a network.
//!
//! The Bridge is the sandbox, in this process. The daemon is the real one: this binary, started with a new configuration and a newly filled
//! folder.

mod daemon;
mod people;
mod script;
mod story;

pub(crate) use story::run;
