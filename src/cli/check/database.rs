//! Checks whether `run` can use the database of `state.url`. Creates and changes nothing in it.

use std::collections::BTreeMap;

use super::super::context::Context;
use bridgehead_runtime::inspection::Finding;
use bridgehead_sdk::counted;
use bridgehead_store::Error;
use bridgehead_store::postgres::{Postgres, Settings, Survey};

const WHAT: &str = "state.url";

/// The findings; none if the state is in the folder.
pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let settings = match context.state_database() {
        Ok(None) => return Vec::new(),
        Ok(Some(settings)) => settings,
        Err(failure) => {
            let problem = failure.message().to_owned();
            let problem = problem.strip_prefix("state.url: ").unwrap_or(&problem);
            return vec![Finding::failed(WHAT, problem)];
        }
    };
    match Postgres::survey(&settings).await {
        Ok(survey) => found(&settings, &survey),
        Err(error) => vec![failed(&error)],
    }
}

fn found(settings: &Settings, survey: &Survey) -> Vec<Finding> {
    let place = &settings.address;
    let server = format!(
        "{place} is PostgreSQL {}, does not lose confirmed commits, and gives each connection its own session",
        survey.version
    );
    let mut findings = vec![Finding::ok(WHAT, server)];
    findings.push(match survey.tables {
        Some(version) => Finding::ok(WHAT, format!("{place} has state, with tables of version {version}")),
        None if survey.may_create => {
            Finding::ok(WHAT, format!("{place} has no state yet; the daemon creates its tables"))
        }
        None => Finding::failed(WHAT, format!("{place} has no state yet, and the role may not create tables in it"))
            .advising("As the owner of the database, run `GRANT CREATE ON SCHEMA public TO` the role of state.url, or make the role the owner."),
    });
    let mut owned: BTreeMap<&str, u64> = BTreeMap::new();
    for owner in survey.owners.iter().filter(|owner| !owner.lasts_for.is_zero()) {
        *owned.entry(&owner.node).or_default() += 1;
    }
    for (node, apps) in owned {
        findings.push(Finding::ok(WHAT, format!("node {node} runs {}", counted(apps, "app", "apps"))));
    }
    findings
}

fn failed(error: &Error) -> Finding {
    let finding = Finding::failed(WHAT, error.to_string());
    match advice(error) {
        Some(advice) => finding.advising(advice),
        None => finding,
    }
}

/// What to do, if the error does not say so.
fn advice(error: &Error) -> Option<&'static str> {
    let Error::Postgres { source, .. } = error else { return None };
    let code = source.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    Some(match code.as_deref() {
        Some("28P01" | "28000") => {
            "Correct the user and the password in the URL, and allow the user to connect in pg_hba.conf."
        }
        Some("3D000") => {
            "Create the database: `CREATE DATABASE bridgehead OWNER bridgehead ENCODING 'UTF8' TEMPLATE template0`."
        }
        Some("42501") => {
            "Make the role of state.url the owner of the database, or grant it CONNECT on it and CREATE on its schema."
        }
        Some(code) if code.starts_with("53") => {
            "Increase max_connections of the server; each node needs up to 8 connections."
        }
        Some(_) => "Read the server's log.",
        None if source.to_string().to_lowercase().contains("certificate") => {
            "Set network.ca_file, or sslrootcert in the URL, to the certificate authority that signed the server's certificate."
        }
        None => {
            "Check the host and port in the URL, that the server is running and listening there, and that no firewall blocks the connection."
        }
    })
}
