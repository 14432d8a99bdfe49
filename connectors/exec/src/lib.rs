//! The exec connector: a connector in any language, as a child process that speaks JSON-RPC 2.0 on its standard input
//! and output, with one object per line.
//!
//! One process serves one app. It is started at the first call, shared by all calls, and replaced if it dies, hangs, or
//! prints something that is not a response. Its unfinished calls then have an unknown effect, which the runtime
//! resolves by reading back; nothing is retried here.
//!
//! # The parts
//! - `protocol` is the wire format: encodes a request as a line, and parses a line as a response. Pure.
//! - `answers` parses results, and `errors` JSON-RPC errors, into the types of the SDK. Pure.
//! - `failure` says why a process ended, and what that means for its calls.
//! - `process` manages one child process from start to end; `session` reads from it, writes to it, and notices its end;
//!   `pending` has its unfinished calls; `lines` reads its output; `spawn` has the thread that starts it.
//! - `supervisor` decides when there is a process, and `restart` how long there is none.
//! - `discovery` inspects a program for `bridgehead init`.
//! - `connector` implements the SDK's trait on top of these parts.
//!
//! The protocol, for authors of such programs, is described in `docs/connectors/exec.md`.

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
