//! The kit is tried behind `exec`: on a connector in Python that keeps the contract, and then on the same with one mistake after another.

#![cfg(test)]

mod faultless;
mod mistakes;
#[allow(dead_code, reason = "the kit's own tests, whose server it is, can also keep it busy")]
#[path = "../../../conformance/tests/mistakes/server.rs"]
mod server;
mod table;
mod test_target;
