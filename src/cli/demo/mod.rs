//! `bridgehead demo`: everything, on sample people, without an account and without a network.
//!
//! The Bridge is the sandbox, in this process. The daemon is the real one: this binary, started with a configuration
//! that was just written, against a folder that was just filled.

mod daemon;
mod people;
mod script;
mod story;

pub(crate) use story::run;
