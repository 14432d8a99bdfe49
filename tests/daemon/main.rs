//! Black-box tests: the real binary against the sandbox, over real sockets.

mod hostile;
mod smoke;
mod support;
