//! How the conformance kit reaches a directory.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_conformance::{Protocol, Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, async_trait};
use bridgehead_test_servers::{Directory, Ds389, OpenLdap, Options, Population, Samba};
use serde_json::{Map, Value, json};

use crate::support::{bound_as, connector, settings, with};

/// A server of one kind. Several can run at the same time.
#[async_trait]
pub(crate) trait Server: Send + Sync + Sized {
    const PROFILE: &'static str;
    /// Whether it accepts unencrypted logins: then the kit can parse the protocol, and respond with failures in its place.
    const IN_THE_CLEAR: bool = true;

    async fn start(options: Options) -> Self;

    fn directory(&self) -> &Directory;

    /// Settings in addition to those of every test.
    fn settings() -> Value {
        json!({})
    }

    /// An identifier that no group has.
    fn missing_id() -> &'static str;
}

#[async_trait]
impl Server for OpenLdap {
    const PROFILE: &'static str = "openldap";

    async fn start(options: Options) -> Self {
        Self::start_with(options).await
    }

    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn settings() -> Value {
        let placeholder = "cn=placeholder,dc=test";
        json!({
            "groups": [{ "slug": "group", "placeholder_member": placeholder }],
            "licenses": [{
                "slug": "plan", "member_attribute": "uniqueMember", "placeholder_member": placeholder,
            }],
        })
    }

    fn missing_id() -> &'static str {
        "0b0e5a3c-0000-1041-8191-8b0d5bc63e0e"
    }
}

#[async_trait]
impl Server for Ds389 {
    const PROFILE: &'static str = "389ds";
    // It only accepts encrypted passwords.
    const IN_THE_CLEAR: bool = false;

    async fn start(options: Options) -> Self {
        Self::start_with(options).await
    }

    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn settings() -> Value {
        json!({
            "licenses": [{ "slug": "plan", "member_attribute": "uniqueMember" }],
            "memberships": { "read_from": "memberOf" },
        })
    }

    fn missing_id() -> &'static str {
        "70ef5317-e68411f1-00000000-50609f76"
    }
}

#[async_trait]
impl Server for Samba {
    const PROFILE: &'static str = "ad";
    const IN_THE_CLEAR: bool = false;

    async fn start(options: Options) -> Self {
        Self::start_with(options).await
    }

    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn settings() -> Value {
        json!({
            "groups": [{
                "slug": "group", "base": "OU=groups,DC=test,DC=lan", "filter": "(&(objectClass=group)(!(cn=sales)))",
            }],
            "licenses": [{ "slug": "plan", "base": "OU=groups,DC=test,DC=lan", "filter": "(cn=sales)" }],
        })
    }

    fn missing_id() -> &'static str {
        "00112233-4455-6677-8899-aabbccddeeff"
    }
}

/// A server for the kit, and others with many accounts.
pub(crate) struct LdapTestTarget<S> {
    server: S,
    populated: Mutex<Vec<S>>,
}

impl<S: Server> LdapTestTarget<S> {
    pub(crate) async fn start() -> Self {
        Self { server: S::start(Options::default()).await, populated: Mutex::default() }
    }

    fn settings(&self) -> Map<String, Value> {
        with(settings(S::PROFILE, self.server.directory()), &S::settings())
    }
}

#[async_trait]
impl<S: Server> TestTarget for LdapTestTarget<S> {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        let directory = self.server.directory();
        let at = |address: SocketAddr| {
            // The certificate is valid for this name, and for the server's own address.
            let scheme = if S::IN_THE_CLEAR { "ldap" } else { "ldaps" };
            let url = format!("{scheme}://localhost:{}", address.port());
            with(self.settings(), &json!({ "url": url, "connect_timeout": "3s", "request_timeout": "5s" }))
        };
        let settings = match situation {
            Situation::Working => self.settings(),
            Situation::BadCredential => {
                with(self.settings(), &json!({ "bind_password": "not-the-password" }))
            }
            Situation::RefusedPermission => bound_as(self.settings(), &directory.reader),
            Situation::Unreachable(address) | Situation::Silent(address) | Situation::Through(address) => {
                at(address)
            }
            Situation::SmallPages(address) => with(at(address), &json!({ "page_size": 2 })),
            _ => return Err(Skip::because("the test target knows no such situation")),
        };
        Ok(connector(directory, settings))
    }

    fn address(&self) -> Option<SocketAddr> {
        let directory = self.server.directory();
        let port = if S::IN_THE_CLEAR { directory.ldap_port } else { directory.ldaps_port };
        Some((directory.address, port).into())
    }

    fn protocol(&self) -> Protocol {
        // Encrypted data is passed on unchanged.
        if S::IN_THE_CLEAR { Protocol::Ldap } else { Protocol::Http }
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let population = Population { accounts, groups: 20, members: 50 };
        let server = S::start(Options::default().population(population)).await;
        let settings = with(settings(S::PROFILE, server.directory()), &S::settings());
        let settings = with(
            settings,
            &json!({ "accounts": {
            "base": server.directory().people,
            // Excludes the accounts that the server creates itself.
            "filter": "(&(objectClass=person)(mail=user-*@example.com))",
        } }),
        );
        let connector = connector(server.directory(), settings);
        self.populated.lock().unwrap_or_else(PoisonError::into_inner).push(server);
        Ok(connector)
    }

    fn secrets(&self) -> Vec<String> {
        let directory = self.server.directory();
        [&directory.admin, &directory.writer, &directory.reader].map(|login| login.password.clone()).into()
    }

    fn missing_ref(&self, _: &str) -> String {
        S::missing_id().to_owned()
    }
}
