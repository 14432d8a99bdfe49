//! The connector against real databases: each test starts its own server, and ends it.

#![cfg(test)]

mod example;
mod failures;
mod mariadb;
mod postgres;
mod reading;
mod relay;
mod roles;
mod secrecy;
mod sqlite;
mod support;
