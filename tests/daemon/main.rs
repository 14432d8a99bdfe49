//! Black-box tests: the real binary against the sandbox, over real sockets.

mod crash;
mod smoke;
mod support;
