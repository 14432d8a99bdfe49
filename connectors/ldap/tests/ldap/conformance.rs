//! The conformance kit, on every kind of server.

use bridgehead_conformance as conformance;
use bridgehead_test_servers::{Ds389, OpenLdap, Samba};

use crate::test_target::{LdapTestTarget, Server};

async fn passes<S: Server>() {
    let report = conformance::run(&LdapTestTarget::<S>::start().await).await;
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn openldap_passes_the_kit() {
    passes::<OpenLdap>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ds389_passes_the_kit() {
    passes::<Ds389>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn samba_passes_the_kit() {
    passes::<Samba>().await;
}
