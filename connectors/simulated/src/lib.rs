//! A connector whose target exists in memory only: for trial runs, demonstrations and measurements.
//!
//! It has as many people as the settings say. They are not stored: each is computed from the seed and a number when it is needed, so that a
//! million people use no memory. Changes by tasks are kept separately until the process ends. Errors occur as often as the settings say,
//! the same ones in every run; and names such as `fail-timeout-ann` cause specific errors.
//!
//! - `settings`: the keys of `target`
//! - `people`: the initial accounts
//! - `overlay`: how tasks have changed them
//! - `faults`: random but reproducible errors
//! - `triggers`: errors by name
//! - `operations`: the six actions
//! - `discovery`: the questions of `bridgehead init`
//! - `connector`: the SDK's connector trait

mod connector;
mod discovery;
mod faults;
mod operations;
mod overlay;
mod people;
mod settings;
mod triggers;

pub use connector::{SimulatedConnector, factory};
pub use settings::Settings;
