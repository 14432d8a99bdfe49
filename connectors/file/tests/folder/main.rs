//! The file connector as the runtime uses it: through its factory, on temporary folders.

#![cfg(test)]

mod example;
mod killed;
mod listing;
mod operations;
mod support;
mod whole;
mod writing;
