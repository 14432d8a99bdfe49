//! The kit is tested on a connector of its own: one that keeps the contract, and then the same with one mistake after another.

#![cfg(test)]

mod connector;
mod faultless;
mod mistakes;
mod server;
mod table;
mod test_target;
mod tool;
