//! The LDAP connector against real servers.

mod bench;
mod conformance;
mod support;
