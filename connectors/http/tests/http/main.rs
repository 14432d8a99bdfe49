//! The http connector, seen from outside: the recipes against the real applications, and everything else against a strict
//! fake.

mod jupyterhub;
mod rabbitmq;
mod support;
