//! Tests the kit with a reference connector that keeps the contract, and then with the same connector and one mistake at a time.

#![cfg(test)]

mod connector;
mod faultless;
mod mistakes;
mod server;
mod table;
mod test_target;
mod tool;
