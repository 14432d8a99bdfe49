//! Black-box tests: the real binary against the sandbox, over real sockets.

mod control;
mod guard;
mod smoke;
mod support;
