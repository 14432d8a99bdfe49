//! Real servers for tests.
//!
//! Each test starts the servers it needs, on free loopback ports and in a temporary folder; they are stopped by process id when the value
//! is dropped. A missing program is reported in one sentence: `tests/install` installs all of them.

#![expect(clippy::expect_used, reason = "what fails here fails the test that asked for it")]
#![expect(clippy::format_push_string, reason = "configurations of test servers are to be readable, not fast")]

mod authority;
mod directory;
mod ds389;
mod dse;
mod jupyterhub;
mod ldif;
mod link;
mod mariadb;
mod openldap;
mod openldap_pair;
mod options;
mod pgbouncer;
mod population;
mod port;
mod postgres;
mod process;
mod python;
mod rabbitmq;
mod samba;
mod samba_domain;
mod scim2;
mod user;

pub use authority::{Authority, Files, Issued};
pub use directory::{Directory, Login, Schema};
pub use ds389::Ds389;
pub use jupyterhub::JupyterHub;
pub use ldif::Entry;
pub use link::Link;
pub use mariadb::MariaDb;
pub use openldap::OpenLdap;
pub use openldap_pair::OpenLdapPair;
pub use options::Options;
pub use pgbouncer::PgBouncer;
pub use population::Population;
pub use port::{free_port, listens};
pub use postgres::Postgres;
pub use process::{Process, require, run};
pub use python::{python, python_program};
pub use rabbitmq::RabbitMq;
pub use samba::{Samba, unicode_password};
pub use scim2::{Scim2, Scim2Options};
