//! Two OpenLDAP servers of one directory.

use crate::link::Link;
use crate::openldap::OpenLdap;
use crate::options::{Content, Options};

/// Two servers that hold the same directory and replicate to each other, as multi-provider replication has it: a change may be
/// made on either, and reaches the other a moment later, or when its link is released.
#[derive(Debug)]
pub struct OpenLdapPair {
    pub first: OpenLdap,
    pub second: OpenLdap,
    /// What the second server hears of the first one comes through here.
    pub from_first: Link,
    /// What the first server hears of the second one comes through here.
    pub from_second: Link,
}

impl OpenLdapPair {
    /// Starts both, with the same options.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start_with(options: Options) -> Self {
        let (from_first, from_second) = (Link::new(), Link::new());
        let first = Options { content: Content::OfServer(1), ..options.clone() };
        let first = OpenLdap::start_with(replicating(first, 1, &from_second)).await;
        from_first.lead_to(first.directory.ldap_port);
        // Loaded each by itself, the same entries would have other identifiers on each.
        let second = Options { content: Content::Copied(first.content()), ..options };
        let second = OpenLdap::start_with(replicating(second, 2, &from_first)).await;
        from_second.lead_to(second.directory.ldap_port);
        Self { first, second, from_first, from_second }
    }
}

fn replicating(options: Options, number: u8, link: &Link) -> Options {
    let provider = format!(
        "syncrepl rid={number} provider=ldap://127.0.0.1:{} type=refreshAndPersist retry=\"1 +\" searchbase=dc=test \
         bindmethod=simple binddn=cn=admin,dc=test credentials=admin-secret-1",
        link.port
    );
    let number = format!("serverID {number}");
    [number.as_str(), "moduleload syncprov", "overlay syncprov", &provider, "multiprovider on"]
        .into_iter()
        .fold(options, Options::own)
}
