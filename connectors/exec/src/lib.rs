//! The exec connector: a connector in any language, as a child process that speaks JSON-RPC 2.0, one object a
//! line, on its standard input and output.
//!
//! One process serves one app. It is started at the first call, shared by all calls, and replaced when it dies,
//! hangs, or prints something that is not an answer. What it worked on then has an unknown effect, which the
//! runtime settles by reading back; nothing is retried here.
//!
//! # The parts
//! - `protocol` is the wire: a request to a line, a line to an answer. Pure.
//! - `answers` reads results, `errors` JSON-RPC errors, as what the SDK calls them. Pure.
//! - `failure` says why a process ended, and what that means for its calls.
//! - `process` is the life of one child process, `attendant` who reads, writes and notices its end, `pending` what
//!   it works on, `lines` its output, `spawn` the thread that starts it.
//! - `supervisor` decides when there is a process, and `restart` how long there is none.
//! - `discovery` is what `bridgehead init` finds out of a program.
//! - `connector` is the SDK's trait on top of all that.
//!
//! The protocol, for those who write such a process, is in `docs/connectors/exec.md`.

mod answers;
mod connector;
mod discovery;
mod errors;
mod failure;
#[doc(hidden)]
pub mod fuzz;
mod lines;
mod pending;
mod process;
mod protocol;
mod restart;
mod session;
mod settings;
mod spawn;
mod supervisor;

pub use connector::{ExecConnector, factory};
pub use settings::{Environment, FriendlyDuration, Settings};
