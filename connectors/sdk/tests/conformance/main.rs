//! The kit is tested on a connector of its own: one that keeps the contract, and then the same with one fault after another.

#![cfg(test)]

mod bench;
mod connector;
mod defects;
mod faultless;
mod server;
