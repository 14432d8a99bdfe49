//! What `cargo xtask dist` makes: installed, upgraded, removed and looked at, on a copy of this machine that is gone afterwards.
//!
//! The binary that is packed is the one that cargo has built beside this task: `cargo build` first if this package alone is tested.

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
