//! What the fuzz targets do with their input, as ordinary functions.
//!
//! Each takes bytes as they could come over the network, from a child process or from a file, and panics when a promise
//! is broken: something crashes, a field is lost, a secret shows in an error, a size has no bound. `fuzz/fuzz_targets` wraps them for
//! libFuzzer; the test beside them runs the stored corpus, and mutations of it, on every change.

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
pub use task::{lane_keys, operation};

/// A target: takes any bytes, and returns unless a promise is broken.
pub type Target = fn(&[u8]);

/// Every target under the name of its corpus.
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
    ("lane_keys", lane_keys),
    ("operation", operation),
];
