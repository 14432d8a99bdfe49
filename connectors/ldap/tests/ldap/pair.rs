//! The conformance kit, on two servers of one directory.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_conformance::{self as conformance, Protocol, Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, async_trait};
use bridgehead_test_servers::{OpenLdap, OpenLdapPair, Options, Population, free_port};
use serde_json::{Map, Value, json};

use crate::support::{bound_as, connector, settings, with};
use crate::test_target::Server;

/// The position of the kit's relay between the connector and the servers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relay {
    /// In front of the first server only: when it cuts a connection, the second server takes over.
    BeforeTheFirst,
    /// In front of the first server, while the second one is down: the relay responds instead of the only remaining server.
    BeforeTheLast,
}

struct PairTestTarget {
    pair: OpenLdapPair,
    relay: Relay,
    populated: Mutex<Vec<OpenLdapPair>>,
}

/// The settings of a connector that uses the first server while it responds, then the second.
fn of(pair: &OpenLdapPair, urls: &[String]) -> Map<String, Value> {
    let mut own = with(settings(OpenLdap::PROFILE, &pair.first.directory), &OpenLdap::settings());
    own.remove("url");
    with(own, &json!({ "urls": urls }))
}

fn both(pair: &OpenLdapPair) -> Vec<String> {
    vec![pair.first.directory.ldaps_url(), pair.second.directory.ldaps_url()]
}

/// Two URLs with the same address.
fn twice(address: SocketAddr) -> Vec<String> {
    ["localhost", "127.0.0.1"].map(|host| format!("ldap://{host}:{}", address.port())).into()
}

impl PairTestTarget {
    async fn start(relay: Relay) -> Self {
        Self { pair: OpenLdapPair::start_with(Options::default()).await, relay, populated: Mutex::default() }
    }

    fn at(&self, urls: &[String]) -> Map<String, Value> {
        with(of(&self.pair, urls), &json!({ "connect_timeout": "3s", "request_timeout": "5s" }))
    }

    fn through(&self, relay: SocketAddr) -> Vec<String> {
        let second = match self.relay {
            Relay::BeforeTheFirst => self.pair.second.directory.ldap_url(),
            Relay::BeforeTheLast => format!("ldap://127.0.0.1:{}", free_port()),
        };
        vec![format!("ldap://localhost:{}", relay.port()), second]
    }
}

#[async_trait]
impl TestTarget for PairTestTarget {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        let directory = &self.pair.first.directory;
        let working = of(&self.pair, &both(&self.pair));
        let settings = match situation {
            Situation::Working => working,
            Situation::BadCredential => with(working, &json!({ "bind_password": "not-the-password" })),
            Situation::RefusedPermission => bound_as(working, &directory.reader),
            Situation::Unreachable(address) | Situation::Silent(address) => self.at(&twice(address)),
            Situation::Through(address) => self.at(&self.through(address)),
            Situation::SmallPages(address) => {
                with(self.at(&self.through(address)), &json!({ "page_size": 2 }))
            }
            _ => return Err(Skip::because("the test target knows no such situation")),
        };
        Ok(connector(directory, settings))
    }

    fn address(&self) -> Option<SocketAddr> {
        let directory = &self.pair.first.directory;
        Some((directory.address, directory.ldap_port).into())
    }

    fn protocol(&self) -> Protocol {
        // The relay passes on unknown protocols unchanged, or cuts the connection.
        if self.relay == Relay::BeforeTheLast { Protocol::Ldap } else { Protocol::Http }
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let population = Population { accounts, groups: 20, members: 50 };
        let pair = OpenLdapPair::start_with(Options::default().population(population)).await;
        let connector = connector(&pair.first.directory, of(&pair, &both(&pair)));
        self.populated.lock().unwrap_or_else(PoisonError::into_inner).push(pair);
        Ok(connector)
    }

    fn secrets(&self) -> Vec<String> {
        let directory = &self.pair.first.directory;
        [&directory.admin, &directory.writer, &directory.reader].map(|login| login.password.clone()).into()
    }

    fn missing_ref(&self, _: &str) -> String {
        OpenLdap::missing_id().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_pass_the_kit_that_cuts_off_the_first() {
    conformance::run(&PairTestTarget::start(Relay::BeforeTheFirst).await).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_pass_the_kit_that_answers_in_the_place_of_the_last() {
    conformance::run(&PairTestTarget::start(Relay::BeforeTheLast).await).await.assert_passed();
}
