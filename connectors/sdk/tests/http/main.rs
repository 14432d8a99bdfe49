//! The shared HTTP client over real sockets: what goes wrong on the way, and what each status means.

#![cfg(test)]

mod credentials;
mod raw;
mod recording;
mod refusals;
mod tls;
mod tokens;
mod transport;
