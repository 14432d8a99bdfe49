//! The recipe for RabbitMQ's management API, run against a real RabbitMQ.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
use bridgehead_sdk::http::reqwest;
use bridgehead_sdk::{Connector, async_trait};
use bridgehead_test_servers::RabbitMq;
use serde_json::{Map, Value, json};

use crate::support::{build, names, recipe};

struct Broker {
    broker: RabbitMq,
    /// The brokers that were filled, with the number of users.
    populated: Mutex<Vec<(RabbitMq, usize)>>,
}

/// Adds users to a broker, which is much faster than starting another one.
async fn add(broker: &RabbitMq, names: &[String]) {
    let users: Vec<Value> =
        names.iter().map(|name| json!({ "name": name, "password_hash": "", "tags": "" })).collect();
    let request = reqwest::Client::new()
        .post(format!("http://{}/api/definitions", address(broker)))
        .basic_auth("admin", Some(RabbitMq::PASSWORD))
        .header("content-type", "application/json")
        .body(json!({ "users": users }).to_string());
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

fn target(address: SocketAddr, user: &str, password: &str) -> Map<String, Value> {
    let mut target = recipe("http-rabbitmq.toml", password);
    target.insert("base_url".to_owned(), format!("http://{address}/api").into());
    target["auth"]["basic"]["username"] = user.into();
    target.insert("limits".to_owned(), json!({ "connect": "2s", "request": "20s" }));
    target
}

fn connector(address: SocketAddr, user: &str, password: &str) -> Arc<dyn Connector> {
    build(&target(address, user, password)).unwrap()
}

fn address(broker: &RabbitMq) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, broker.port()))
}

#[async_trait]
impl TestTarget for Broker {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        let here = address(&self.broker);
        Ok(match situation {
            Situation::Working => connector(here, "admin", RabbitMq::PASSWORD),
            Situation::BadCredential => connector(here, "admin", "password-that-nobody-has"),
            Situation::RefusedPermission => connector(here, "monitor", RabbitMq::MONITOR_PASSWORD),
            Situation::Unreachable(there) | Situation::Silent(there) | Situation::Through(there) => {
                connector(there, "admin", RabbitMq::PASSWORD)
            }
            _ => return Err(Skip::because("it is no situation of a target that is reached over TCP")),
        })
    }

    fn fails_in_every_way(&self) -> bool {
        // The broker takes several milliseconds for each response.
        false
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(address(&self.broker))
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        // The kit requests few accounts first, and then more, so one broker is extended.
        let last = self.populated.lock().unwrap().pop();
        let broker = match last {
            Some((broker, count)) if count <= accounts => {
                add(&broker, &names(accounts)[count..]).await;
                broker
            }
            larger => {
                self.populated.lock().unwrap().extend(larger);
                RabbitMq::start(&names(accounts)).await
            }
        };
        let mut target = target(address(&broker), "admin", RabbitMq::PASSWORD);
        target["accounts"]["list"]["filter"] = "record.name not in ['admin', 'monitor']".into();
        self.populated.lock().unwrap().push((broker, accounts));
        Ok(build(&target).unwrap())
    }

    fn account(&self, name: &str) -> Map<String, Value> {
        json!({ "username": name, "tags": ["monitoring"] }).as_object().unwrap().clone()
    }

    fn changes(&self, _: &str) -> Map<String, Value> {
        json!({ "tags": ["management", "policymaker"] }).as_object().unwrap().clone()
    }

    fn free_text_fields(&self) -> Vec<&'static str> {
        vec!["username"]
    }

    fn many(&self) -> usize {
        // Several pages of 500; the broker takes a minute to create ten thousand.
        2_500
    }

    fn secrets(&self) -> Vec<String> {
        vec![RabbitMq::PASSWORD.to_owned(), RabbitMq::MONITOR_PASSWORD.to_owned()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_passes_the_kit() {
    let test_target = Broker { broker: RabbitMq::start(&[]).await, populated: Mutex::default() };
    let report = conformance::run(&test_target).await;
    report.assert_passed();
}
