//! The LDAP connector against real servers.

mod ad;
mod bench;
mod conformance;
mod creating;
mod ds389;
mod listing;
mod loading;
mod memberships;
mod network;
mod support;
mod updating;
