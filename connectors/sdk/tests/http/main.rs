//! The shared HTTP client over real sockets: failures of the connection, and the meaning of each status.

#![cfg(test)]

mod credentials;
mod raw;
mod recording;
mod refusals;
mod tls;
mod tokens;
mod transport;
