//! The file connector as the runtime sees it: through its factory, on folders in a temporary place.

#![cfg(test)]

mod example;
mod killed;
mod listing;
mod operations;
mod support;
mod whole;
mod writing;
