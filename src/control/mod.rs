//! The control socket: how an operator's commands reach a running daemon.
//!
//! A daemon holds the lock on its state folder, so that no command beside it can use the state. It listens on a Unix
//! socket in that folder instead. A command connects, sends one [`Request`](protocol::Request) as a line of JSON, and
//! reads [`Event`](protocol::Event)s, a line each, up to the last: `done` or `failed`. When the command goes away, what it
//! asked for is stopped, in order; what was decided stays decided.
//!
//! Looking goes this way too: the daemon asks Iden and the targets with the credentials that it has, which a command on an
//! operator's shell mostly has not, and hands out what it finds page by page.
//!
//! Who may use it is who may use the state folder: its owner, and root. Nothing secret goes through it.

mod client;
mod error;
mod looking;
mod peer;
mod protocol;
mod server;

pub(crate) use client::{Client, connect};
pub(crate) use error::Error;
pub(crate) use looking::About;
pub(crate) use peer::own;
pub(crate) use protocol::{Event, Identity, Request, socket};
pub(crate) use server::Server;
