//! A connector whose target is a folder: one file of accounts, and one for each type of group and license.
//!
//! Files are CSV or JSON lines. Listing takes constant memory, reads each file once from beginning to end, and sees
//! one consistent state of it even while tasks rewrite it. Writing replaces a file by an atomic rename, changes no byte
//! of any row but the one to change, and is guarded against other writers.
//!
//! For operators: see `docs/connectors/file.md`.
//!
//! - `settings`: the keys of `target`
//! - `layout`: which files stand for which resource types
//! - `rows`: from bytes to rows, strictly: a quote that is never closed is an error, not a long name
//! - `schema`, `refs`: from a row to its cells, and back
//! - `secrets`: what neither leaves the folder nor is written to it
//! - `table`: one file, opened at one moment, read row by row
//! - `census`: what shows that a file was the same all the while, and that nobody is in it twice
//! - `memory`: which files were types
//! - `unique`: JSON whose fields stand once
//! - `records`: from cells to the records of a listing
//! - `listing`: pages and cursors over files that are being replaced
//! - `survey`: everything an operation needs to know, in one scan
//! - `changes`, `operations`: what the six actions make of a row
//! - `rewrite`, `access`, `lock`: putting it on disk, for the same programs to get at
//! - `check`: what can be told about a folder before anything is asked of it
//! - `connector`: the contract with the runtime

mod access;
mod census;
mod changes;
mod check;
mod connector;
mod discovery;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod layout;
mod listing;
mod lock;
mod memory;
mod operations;
mod records;
mod refs;
mod rewrite;
mod rows;
mod schema;
mod secrets;
mod settings;
mod survey;
mod table;
mod unique;

pub use connector::{FileConnector, factory};
pub use settings::{AccountsFile, FileFormat, GroupFile, LicenseFile, Settings};
