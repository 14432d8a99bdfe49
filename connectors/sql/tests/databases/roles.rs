//! The recipe for PostgreSQL roles.

use std::net::SocketAddr;
use std::sync::Arc;

use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
use bridgehead_sdk::{AccountStatus, Action, Code, Connector, Effect, Subject, async_trait};
use bridgehead_test_servers::Postgres;
use serde_json::{Map, Value, json};

use crate::example::Example;
use crate::support::{accounts, execute, find, ids, list};

struct Cluster {
    server: Postgres,
}

impl Cluster {
    async fn start() -> Self {
        let server = Postgres::start_with(&["log_statement=all"]).await;
        server.sql(
            "postgres",
            "CREATE ROLE bridgehead LOGIN CREATEROLE PASSWORD 'bridge-secret-1'; \
             CREATE ROLE powerless LOGIN PASSWORD 'power-secret-1'; \
             CREATE ROLE readers; CREATE ROLE \"Writers & co\"; CREATE ROLE boss SUPERUSER LOGIN",
        );
        Self { server }
    }

    fn example(&self) -> Example {
        let example = Example::read("sql-postgres-roles.toml").at(self.server.port);
        example.login("bridgehead", "bridge-secret-1")
    }

    /// Whether a login with this password succeeds.
    async fn logs_in(&self, user: &str, password: &str) -> bool {
        self.example().login(user, password).connector().check().await.is_ok()
    }
}

#[async_trait]
impl TestTarget for Cluster {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        let example = self.example();
        Ok(match situation {
            Situation::Working => example,
            Situation::BadCredential => example.login("bridgehead", "wrong-secret-1"),
            Situation::RefusedPermission => example.login("powerless", "power-secret-1"),
            Situation::Unreachable(at) | Situation::Silent(at) | Situation::Through(at) => {
                example.at(at.port())
            }
            _ => return Err(Skip::because("the target is a server")),
        }
        .connector())
    }

    fn address(&self) -> Option<SocketAddr> {
        Some((self.server.address, self.server.port).into())
    }

    fn account(&self, name: &str) -> Map<String, Value> {
        let account = json!({ "username": name, "display_name": format!("Kit {name}") });
        account.as_object().cloned().unwrap_or_default()
    }

    fn secrets(&self) -> Vec<String> {
        ["bridge-secret-1", "power-secret-1", "wrong-secret-1"].map(str::to_owned).to_vec()
    }

    fn missing_ref(&self, _: &str) -> String {
        "4000000000".to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipe_for_roles_passes_the_kit() {
    let report = conformance::run(&Cluster::start().await).await;
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn created_role_can_log_in_and_its_password_is_never_exposed() {
    let cluster = Cluster::start().await;
    let connector = cluster.example().connector();
    let listed = || async { ids(&list(&*connector, &accounts()).await.unwrap().0) };
    let of = |name: &str| {
        cluster.server.sql("postgres", &format!("SELECT oid FROM pg_roles WHERE rolname = '{name}'"))
    };
    let (readers, writers) = (of("readers").trim().to_owned(), of("Writers & co").trim().to_owned());
    assert_eq!(
        listed().await,
        [of("bridgehead").trim().to_owned(), of("powerless").trim().to_owned()].into()
    );

    // The server quotes names and passwords with any characters.
    let name = "o'Brien \"x\"; DROP ROLE readers; --";
    let password = "Quiet'Harbour\\\"$$-é\u{2168}";
    let account = json!({ "username": name, "display_name": "It's O'Brien", "password": password });
    let payload = json!({ "account": account, "memberships": { "role": [readers] } });
    let done = execute(&*connector, Action::CreateAccount, payload).await.unwrap();
    let id = done.result["account_id"].as_str().unwrap().to_owned();
    assert!(cluster.logs_in(name, password).await);
    assert!(!cluster.logs_in(name, "another").await);
    let found = find(&*connector, name).await.unwrap();
    assert_eq!(found.display_name.as_deref(), Some("It's O'Brien"));
    assert_eq!(found.memberships.to_json(false), json!({ "role": [readers] }));

    // A rename keeps the identifier.
    let about = json!({ "id": id });
    let change =
        json!({ "account": about, "changes": { "username": "brien" }, "memberships": { "role": [writers] } });
    execute(&*connector, Action::UpdateAccount, change).await.unwrap();
    let renamed = find(&*connector, "brien").await.unwrap();
    assert_eq!((renamed.id.as_str(), renamed.display_name.as_deref()), (id.as_str(), Some("It's O'Brien")));
    assert_eq!(renamed.memberships.to_json(false), json!({ "role": [writers] }));

    // A suspended role is still an account, not a group; its password is kept.
    let act = async |action| execute(&*connector, action, json!({ "account": about })).await;
    let reset = json!({ "account": { "id": id, "password": "Second-Harbour-2" } });
    execute(&*connector, Action::ResetPassword, reset).await.unwrap();
    act(Action::SuspendAccount).await.unwrap();
    assert!(!cluster.logs_in("brien", "Second-Harbour-2").await);
    let suspended = find(&*connector, "brien").await.unwrap();
    assert_eq!(
        (suspended.status, suspended.display_name.as_deref()),
        (AccountStatus::Suspended, Some("It's O'Brien"))
    );
    assert!(listed().await.contains(&id));
    let groups = bridgehead_sdk::ResourceType::group("role", "Role");
    assert_eq!(ids(&list(&*connector, &groups).await.unwrap().0), [readers.clone(), writers.clone()].into());
    act(Action::UnsuspendAccount).await.unwrap();
    assert!(cluster.logs_in("brien", "Second-Harbour-2").await);

    // A role that owns something is not dropped and stays unchanged.
    cluster.server.sql("postgres", "CREATE TABLE owned (); ALTER TABLE owned OWNER TO brien");
    let error = act(Action::DeleteAccount).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied));
    assert!(error.message().contains("cannot be dropped because some objects depend on it"), "{error}");
    cluster.server.sql("postgres", "DROP TABLE owned");
    act(Action::DeleteAccount).await.unwrap();
    assert_eq!(act(Action::DeleteAccount).await.unwrap_err().code(), Code::AccountNotFound);

    // Built-in roles and superusers are not accounts; a group is not overwritten; no name is truncated.
    for name in ["boss", "pg_monitor"] {
        assert_eq!(find(&*connector, name).await, None, "{name}");
    }
    let make = async |name: &str| {
        execute(&*connector, Action::CreateAccount, json!({ "account": { "username": name } }))
            .await
            .unwrap_err()
    };
    assert_eq!(make("readers").await.code(), Code::AccountAlreadyExists);
    assert!(make(&"x".repeat(64)).await.message().contains("at most 63 bytes"));
    let error = make("pg_ours").await;
    assert_eq!((error.code(), error.subject()), (Code::InternalError, Subject::Account), "{error}");

    let log = cluster.server.log();
    assert!(log.contains("CREATE ROLE") && log.contains("SCRAM-SHA-256$4096:"), "the log has statements");
    for secret in ["Quiet", "Harbour"] {
        assert!(!log.contains(secret), "{secret}");
    }
}
