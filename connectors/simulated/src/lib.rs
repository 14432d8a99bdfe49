//! A connector whose target exists in memory only: for rehearsals, demonstrations and measurements.
//!
//! It has as many people as the settings say. None of them is stored: each is computed from the seed and a number when
//! it is asked for, so that a million cost no memory. What tasks change is kept beside them until the process ends.
//! Errors come as often as the settings say, the same ones in every run; and names such as `fail-timeout-ann` bring about
//! one that is wanted.
//!
//! - `settings`: the keys of `target`
//! - `people`: who is there to begin with
//! - `overlay`: what tasks have made of them
//! - `faults`: errors by chance, reproducibly
//! - `triggers`: errors by name
//! - `operations`: the six actions
//! - `discovery`: what `bridgehead init` asks and finds out
//! - `connector`: the contract with the runtime

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
