//! A connector whose target is a folder: one file of accounts, and one file for each type of group and license.
//!
//! Files are CSV or JSON lines. A listing takes constant memory, and sees one consistent state of a file even while
//! tasks rewrite it. Writing replaces a file by an atomic rename, changes no byte of any row but the one to change, and
//! is guarded against other writers.
//!
//! For operators: see `docs/connectors/file.md`.
//!
//! - `settings`: the keys of `target`
//! - `layout`: which file has which resource type
//! - `rows`: splits bytes into rows, strictly: a quote that is never closed is an error, not a long name
//! - `schema`, `refs`: decode and encode the cells of a row
//! - `secrets`: fields that are neither sent to Iden nor written to the folder
//! - `table`: a snapshot of one file, read row by row
//! - `census`: the evidence that a file did not change, and that no account is in it twice
//! - `memory`: remembers which files were types
//! - `unique`: JSON without duplicate fields
//! - `records`: converts cells to the records of a listing
//! - `listing`: pages and cursors over files that are being replaced
//! - `survey`: everything an operation needs to know, in one scan
//! - `changes`, `operations`: apply the six actions to a row
//! - `editor`: detects that a person has a file open in an editor
//! - `rewrite`, `access`, `lock`: write a file to disk without changing who can access it
//! - `check`: checks a folder before it is used
//! - `discovery`: inspects a folder for `bridgehead init`
//! - `connector`: the SDK's connector trait

mod access;
mod census;
mod changes;
mod check;
mod connector;
mod discovery;
mod editor;
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
