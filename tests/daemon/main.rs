//! Black-box tests: the real binary against the sandbox, over real sockets.

mod admin;
mod examples;
mod smoke;
mod support;
