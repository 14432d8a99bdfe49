//! The LDAP connector against real servers.

mod across;
mod ad;
mod ad_trust;
mod conformance;
mod creating;
mod ds389;
mod ds389_replica;
mod effects;
mod forms;
mod half_made;
mod lagging;
mod listing;
mod loading;
mod measure;
mod memberships;
mod midway;
mod moved;
mod network;
mod pair;
mod proxy;
mod quirks;
mod shapes;
mod support;
mod test_target;
mod trust;
mod updating;
