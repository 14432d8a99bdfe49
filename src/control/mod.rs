//! The control socket: how an operator's commands reach a running daemon.
//!
//! A daemon holds the lock on its state folder, so no other command can use the state at the same time. Instead, it
//! listens on a Unix socket in that folder. A command connects, sends one [`Request`](protocol::Request) as a line of
//! JSON, and reads [`Event`](protocol::Event)s, one per line, up to the last: `done` or `failed`. When the command
//! disconnects, its request is stopped cleanly; decisions that were made are kept.
//!
//! Read requests use this socket too: the daemon queries Iden and the targets with its credentials, which a command in an operator's shell
//! usually does not have, and returns the results page by page.
//!
//! Access is limited to users who can use the state folder: its owner, and root. No secret is sent over it.

mod client;
mod error;
mod looking;
mod peer;
mod protocol;
mod reload;
mod server;

pub(crate) use client::{Client, connect};
pub(crate) use error::Error;
pub(crate) use looking::About;
pub(crate) use peer::own;
pub(crate) use protocol::{Event, Identity, LogLevel, Request, socket};
pub(crate) use reload::{AppReloaded, Ask, Asking, Changed, Current, Fate, Reloaded};
pub(crate) use server::Server;
