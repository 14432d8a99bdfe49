//! The shipped example configuration works unchanged.

use bridgehead_sdk::Setup;
use serde_json::Value;

#[test]
fn example_builds() {
    let text = include_str!("../../../../config/examples/scim.toml");
    let document: Value = toml::from_str(text).unwrap();
    let mut target = document["apps"]["acme-app"]["target"].as_object().unwrap().clone();
    target.remove("rate_limit");
    // As resolved by the daemon.
    target["auth"]["oauth2"]["client_secret"] = "not-a-secret".into();
    bridgehead_scim::factory().build(Setup::new("acme-app", target)).unwrap();
}
