//! Two OpenLDAP servers with the same directory.

use crate::link::Link;
use crate::openldap::OpenLdap;
use crate::options::{Content, Options};

/// Two servers that replicate the same directory to each other (multi-provider replication): a change can be made on either of them, and
/// reaches the other a moment later, or when its link is released.
#[derive(Debug)]
pub struct OpenLdapPair {
    pub first: OpenLdap,
    pub second: OpenLdap,
    /// The link for changes from the first server to the second.
    pub from_first: Link,
    /// The link for changes from the second server to the first.
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
        // If each server loaded the entries itself, their identifiers would differ.
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
