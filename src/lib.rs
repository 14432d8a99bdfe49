//! bridgehead connects the systems a company runs to Iden through the Bridge API.

pub mod admin;
pub mod bridge;
pub mod cli;
pub mod config;
pub mod journal;
pub mod runtime;
pub mod sandbox;
