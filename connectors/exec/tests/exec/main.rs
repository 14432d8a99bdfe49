//! Tests the exec connector with real processes: Python scripts that the tests write, and the example connector.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod hr;
mod lifecycle;
mod script;
mod secrecy;
