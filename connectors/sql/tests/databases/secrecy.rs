//! Only the database sees secrets.

use std::io::Write;
use std::sync::{Arc, Mutex};

use bridgehead_sdk::{Action, Redactor, Trace};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::postgres::Crm;
use crate::support::execute;

/// Captures all log output.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_statements_are_never_logged_or_reported() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let crm = Crm::start().await;
    let account = json!({ "username": "ann", "password": "Quiet-Harbour-7" });
    let connector = crm.example().connector();
    execute(&*connector, Action::CreateAccount, json!({ "account": account })).await.unwrap();

    // A trigger, a cast and one of the operator's statements that all repeat their input.
    let repeat = [
        json!({ "execute_result": true, "sql": "SELECT format('SELEKT %L', :password) || coalesce(:username, '')" }),
        json!({ "execute_result": true, "sql": "SELECT format('DO %L', format('BEGIN RAISE EXCEPTION %L; END', 'you said ' || :password)) || left(:username, 0)" }),
        json!("UPDATE accounts SET active = :password::boolean WHERE username = :username"),
    ];
    for step in repeat {
        let connector = crm.example().with("actions.create_account", json!([step])).connector();
        let account = json!({ "username": "bob", "password": "Quiet-Harbour-7" });
        let error =
            execute(&*connector, Action::CreateAccount, json!({ "account": account })).await.unwrap_err();
        let told = format!("{error:?}");
        assert!(!told.contains("Harbour") && !told.contains("secret"), "{told}");
    }
    let wrong = crm.example().with("password", "wrong-secret-1").connector().check().await.unwrap_err();
    assert!(!format!("{wrong:?}").contains("secret"), "{wrong:?}");

    let logged = log.text();
    for secret in ["Harbour", "secret-1", "INSERT INTO accounts"] {
        assert!(!logged.contains(secret), "{secret}: {logged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_shows_statements_and_results_without_values() {
    let crm = Crm::start().await;
    let shown = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&shown);
    let trace = Trace::new(&Redactor::new(), move |line| kept.lock().unwrap().push(line.to_owned()));
    let traced = |mut example: crate::example::Example| {
        example.network.trace = Some(trace.clone());
        example.patient().with("pool.max_connections", 1).connector()
    };
    let account = json!({ "username": "ann", "email": "ann@example.com", "password": "Quiet-Harbour-7" });
    let connector = traced(crm.example());
    let task = json!({ "account": account });
    execute(&*connector, Action::CreateAccount, task.clone()).await.unwrap();
    // The server rejects the row, and quotes it in the error together with the password hash.
    execute(&*connector, Action::CreateAccount, task).await.unwrap_err();
    let made = json!([{ "execute_result": true, "sql": "SELECT format('COMMENT ON TABLE accounts IS %L', :password) WHERE :id IS NOT NULL" }]);
    let connector = traced(crm.example().with("actions.reset_password", made));
    let reset = json!({ "account": { "username": "ann" }, "changes": { "password": "Quiet-Harbour-8" } });
    execute(&*connector, Action::ResetPassword, reset).await.unwrap();
    let refused = traced(crm.example().with("password", "wrong-secret-1"));
    refused.check().await.unwrap_err();

    let shown = shown.lock().unwrap().clone();
    let has = |start: &str, parts: &[&str]| {
        shown.iter().any(|line| line.starts_with(start) && parts.iter().all(|part| line.contains(part)))
    };
    for (start, parts) in [
        ("--> crm  connect to PostgreSQL", [].as_slice()),
        ("<-- crm  connected", &[]),
        ("--> crm  begin (Change)", &[]),
        ("--> crm  INSERT INTO accounts", &["$1", "[text, "]),
        ("<-- crm  1 rows of (id", &[]),
        ("--> crm  commit", &[]),
        ("--> crm  roll back", &[]),
        ("--> crm  COMMENT ON … (", &[]),
        ("<-- crm  error PostgreSQL 28P01, Credential", &[]),
    ] {
        assert!(has(start, parts), "{start}: {shown:#?}");
    }
    for value in ["Harbour", "ann@example.com", "wrong-secret", "'ann'"] {
        assert!(!shown.iter().any(|line| line.contains(value)), "{value}: {shown:#?}");
    }
}
