//! The SCIM connector against scim2-server, and against strict fakes for what that server cannot simulate.

#![cfg(test)]

mod changes;
mod conformance;
mod errors;
mod example;
mod fake;
mod listing;
mod names;
mod quirks;
mod scripted;
mod server;
mod support;
mod writes;
