//! Every rule of the two Bridge documents, tested over real loopback sockets.

mod access;
mod apps;
mod client;
mod control;
mod faults;
mod ledger;
mod life;
mod resource_types;
mod sync_pages;
mod sync_sessions;
mod tasks;

pub(crate) use client::{Answer, Client};
