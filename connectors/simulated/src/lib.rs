//! The connector crate.
