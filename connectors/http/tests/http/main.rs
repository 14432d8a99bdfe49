//! External tests of the http connector: the recipes run against the real applications, and everything else against a strict fake.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod actions;
mod answers;
mod fake;
mod jupyterhub;
mod load;
mod login;
mod look_ups;
mod members;
mod paging;
mod quirks;
mod rabbitmq;
mod rehearsal;
mod scripted;
mod support;
mod taken;
