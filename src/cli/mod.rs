//! The command line: a file for each command.
//!
//! [`args`] defines the arguments, [`context`] loads the configuration and opens what a command needs, [`failure`] has the failures of
//! commands, [`signals`] stops them, [`daemon`] reaches a running daemon, [`reload`] applies a changed configuration to it, [`looking`]
//! lists tasks through it, [`confirm`] asks for confirmation, [`print`] is the only place that writes to standard output, and [`logging`]
//! is the log.

mod apps;
mod args;
mod audit;
mod call;
mod check;
mod completions;
mod config;
mod confirm;
#[cfg(feature = "conformance")]
mod conformance;
mod context;
#[cfg(debug_assertions)]
mod crash;
mod daemon;
#[cfg(feature = "sandbox")]
mod demo;
mod documentation;
mod export;
mod failure;
mod hardening;
#[cfg(feature = "sandbox")]
mod init;
#[cfg(not(feature = "sandbox"))]
#[path = "no_init.rs"]
mod init;
mod journald;
mod log_level;
pub(crate) mod log_levels;
mod log_lines;
mod logging;
mod looking;
mod manual;
mod migrate;
mod new;
mod orders;
mod overview;
mod place;
mod print;
mod progress;
mod reload;
mod run;
#[cfg(feature = "sandbox")]
mod sandbox;
mod service;
mod serving;
mod signals;
mod start;
mod state;
mod status;
mod support;
mod sync;
mod table;
mod task_choice;
mod task_rows;
mod task_story;
mod tasks;
mod telemetry;

pub(crate) use init::command_line;
pub(crate) use print::complain;
pub use start::run;
