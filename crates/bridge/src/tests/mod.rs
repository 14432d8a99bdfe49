//! Tests of the client against scripted servers, over real sockets on loopback.

mod access;
mod calls;
mod lists;
mod outages;
mod raw;
mod shapes;
mod statuses;
mod support;
mod waits;
