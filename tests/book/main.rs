//! Checks the documentation: links have targets, commands exist, and every block of commands is run or says why not.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "these tests run in real time, and what a helper cannot do is its test's failure"
)]

mod alarms;
mod blocks;
mod invocations;
mod links;
mod pages;
mod runs;
mod summary;
mod walkthrough;
