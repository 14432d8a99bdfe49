//! The fuzz targets as ordinary functions.
//!
//! Each target takes bytes as they might arrive from the network, a child process or a file, and panics when an invariant is violated: a
//! crash, a lost field, a secret in an error, unbounded size. `fuzz/fuzz_targets` wraps the targets for libFuzzer; the test in this crate
//! runs the stored corpus and mutations of it on every change.

#![expect(clippy::missing_panics_doc, reason = "panicking is what all of them are for")]

mod bridge;
mod config;
mod exec;
mod file;
mod invariant;
mod task;

pub use bridge::{bridge_errors, bridge_lists, bridge_session, bridge_task, bridge_task_page};
pub use config::config;
pub use exec::{exec_answer, exec_lines, exec_results};
pub use file::{file_csv, file_jsonl, file_rewrite};
pub use task::{account_keys, operation};

/// A fuzz target: takes any bytes, and panics if an invariant is violated.
pub type Target = fn(&[u8]);

/// Every target, with the name of its corpus.
pub const TARGETS: [(&str, Target); 14] = [
    ("bridge_errors", bridge_errors),
    ("bridge_lists", bridge_lists),
    ("bridge_session", bridge_session),
    ("bridge_task", bridge_task),
    ("bridge_task_page", bridge_task_page),
    ("config", config),
    ("exec_answer", exec_answer),
    ("exec_lines", exec_lines),
    ("exec_results", exec_results),
    ("file_csv", file_csv),
    ("file_jsonl", file_jsonl),
    ("file_rewrite", file_rewrite),
    ("account_keys", account_keys),
    ("operation", operation),
];
