//! Tests the artifacts of `cargo xtask dist`: they are installed, upgraded, removed and inspected on a temporary copy of this machine.
//!
//! The binary in the packages is the one that cargo built next to this task: run `cargo build` first to test only this package.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "what a helper of a test cannot do is that test's failure"
)]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "what was done is shown when a test fails")]
#![allow(clippy::disallowed_methods, reason = "these tests run in real time")]

mod deb;
mod machine;
mod made;
mod rpm;
mod sbom;
mod systemd;
mod units;
