//! Tests against real databases: each test starts and stops its own server.

#![cfg(test)]

mod checks;
mod example;
mod failures;
mod letters;
mod lists;
mod mariadb;
mod passwords;
mod pooled;
mod postgres;
mod quirks;
mod reading;
mod relay;
mod roles;
mod secrecy;
mod several;
mod sqlite;
mod stale;
mod support;
mod taken;
mod values;
