//! The http connector, seen from outside: the recipes against the real applications, and everything else against a strict
//! fake.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod jupyterhub;
mod rabbitmq;
mod support;
