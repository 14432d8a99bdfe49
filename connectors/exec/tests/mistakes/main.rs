//! Runs the kit against a Python connector behind `exec`: one that keeps the contract, and then the same one with one mistake at a time.

#![cfg(test)]

mod faultless;
mod mistakes;
#[allow(dead_code, reason = "the kit's own tests, whose server it is, can also keep it busy")]
#[path = "../../../conformance/tests/mistakes/server.rs"]
mod server;
mod table;
mod test_target;
