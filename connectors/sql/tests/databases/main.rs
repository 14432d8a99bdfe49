//! The connector against real databases: each test starts its own server, and ends it.

mod example;
mod mariadb;
mod postgres;
mod roles;
mod sqlite;
mod support;
