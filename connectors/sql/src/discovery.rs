//! What `bridgehead init` finds out about a database: its tables, which of them contains accounts, and what its columns mean.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Discovered, Discovery, Draft, Error, ExposeSecret, Question, Section, SettingsError, async_trait, counted,
};
use serde_json::{Map, Value, json};

use crate::driver::{Target, Transaction};
use crate::fault::{Doing, Verdicts};
use crate::guess::{Guess, meanings};
use crate::pool::{Lease, Pool};
use crate::settings::{Engine, Settings};
use crate::tables::{self, Table, quoted};
use crate::traced::Conversation;
use crate::value::as_text;

const ENGINE: &str = "engine";
const PATH: &str = "path";
const HOST: &str = "host";
const DATABASE: &str = "database";
const USER: &str = "user";
const PASSWORD: &str = "password";
const TABLE: &str = "table";
/// How long to wait for a connection, and how long to keep it.
const PATIENCE: Duration = Duration::from_secs(30);
/// The maximum number of different values of a status column.
const MOST_VALUES: usize = 20;

/// Inspects a database for `bridgehead init`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look;

#[async_trait]
impl Discovery for Look {
    fn questions(&self) -> Vec<Question> {
        let engines =
            [("postgresql", "PostgreSQL"), ("mysql", "MySQL or MariaDB"), ("sqlite", "SQLite (a file)")];
        let engine = Question::text(ENGINE, "The kind of database").with_choices(engines);
        std::iter::once(engine)
            .chain(of_file().into_iter().chain(of_server()).map(Question::later))
            .chain([Question::text(TABLE, "The table that contains the accounts").later()])
            .collect()
    }

    async fn discover(&self, draft: &Draft) -> Result<Discovered, Error> {
        let (engine, needed) = match draft.text(ENGINE) {
            Some("sqlite") => (Engine::Sqlite, of_file()),
            Some("mysql") => (Engine::Mysql, of_server()),
            _ => (Engine::Postgresql, of_server()),
        };
        if needed.iter().any(|question| !draft.has(&question.key)) {
            return Ok(Discovered::ask(needed));
        }
        let access = access(draft, engine)?;
        let (pool, verdicts) = pool(draft, &access)?;
        let told = |fault| verdicts.of(&fault, Doing::Checking);
        let mut lease = pool.acquire().await.map_err(told)?;
        lease.begin(Transaction::Look).await.map_err(told)?;
        let found = look(draft, &access, engine, &mut lease, &verdicts).await;
        lease.finish().await;
        pool.close().await;
        found
    }
}

fn of_file() -> Vec<Question> {
    vec![Question::path(PATH, "The database file")]
}

fn of_server() -> Vec<Question> {
    vec![
        Question::text(HOST, "The server: a host name or address, with :port if it is not the default one, or the path of a socket")
            .with_default("localhost"),
        Question::text(DATABASE, "The name of the database"),
        Question::text(USER, "The database user"),
        Question::secret(PASSWORD, "The password of this user").optional(),
    ]
}

/// The settings for reaching the database; the password is a reference.
fn access(draft: &Draft, engine: Engine) -> Result<Map<String, Value>, Error> {
    let mut target = Map::new();
    let mut put = |key: &str, value: Value| drop(target.insert(key.to_owned(), value));
    put(ENGINE, draft.text(ENGINE).into());
    if engine == Engine::Sqlite {
        put(PATH, draft.text(PATH).into());
        return Ok(target);
    }
    let place = draft.text(HOST).unwrap_or_default();
    if place.starts_with('/') {
        put("socket", place.into());
    } else {
        let is_one = |rest: &str| !rest.is_empty() && rest.chars().all(|one| one.is_ascii_digit());
        match place
            .rsplit_once(':')
            .filter(|(host, port)| is_one(port) && (!host.contains(':') || host.ends_with(']')))
        {
            Some((host, port)) => {
                let port: u16 =
                    port.parse().map_err(|_| Error::internal("host: the port must be at most 65535"))?;
                put(HOST, host.into());
                put("port", port.into());
            }
            None => put(HOST, place.into()),
        }
    }
    put(DATABASE, draft.text(DATABASE).into());
    put(USER, draft.text(USER).into());
    if let Some(reference) = draft.reference(PASSWORD) {
        put(PASSWORD, reference);
    }
    Ok(target)
}

/// A pool that uses the actual password. No statements are configured yet.
fn pool(draft: &Draft, access: &Map<String, Value>) -> Result<(Arc<Pool>, Verdicts), Error> {
    let wrong = |error: SettingsError| Error::internal(error.to_string());
    let mut target = access.clone();
    if let Some(password) = draft.secret(PASSWORD) {
        target.insert(PASSWORD.to_owned(), password.expose_secret().into());
    }
    target.insert("accounts".to_owned(), json!({ "fields": { "id": "id" }, "list": "", "by_id": "" }));
    let setup = draft.setup_with(target);
    let settings: Settings = setup.settings().map_err(wrong)?;
    let target = Target::build(&settings, &setup).map_err(wrong)?;
    let conversation = Conversation { system: setup.app.clone(), trace: setup.network.trace.clone() };
    let verdicts = Verdicts { system: setup.app, overrides: Vec::new(), redactor: setup.redactor };
    Ok((Arc::new(Pool::new(target, conversation, 1, PATIENCE, PATIENCE)), verdicts))
}

async fn look(
    draft: &Draft,
    access: &Map<String, Value>,
    engine: Engine,
    lease: &mut Lease,
    verdicts: &Verdicts,
) -> Result<Discovered, Error> {
    let tables = tables::read(lease, engine, verdicts).await?;
    let mut guesses: Vec<Guess<'_>> = tables.iter().filter_map(Guess::of).collect();
    guesses.sort_by_key(|guess| std::cmp::Reverse(guess.score()));
    if guesses.is_empty() {
        return Err(Error::internal(format!(
            "{}: none of the {} tables that {} may read has a column that looks like a user name or an email address; let it read \
             the table that contains the accounts, or write the statements yourself (docs/connectors/sql.md)",
            verdicts.system,
            tables.len(),
            draft.text(USER).unwrap_or("this user")
        )));
    }
    let Some(wanted) = draft.text(TABLE) else {
        let choices = guesses.iter().map(|guess| (guess.table.name.clone(), columns_of(guess.table)));
        let mut question =
            Question::text(TABLE, "The table that contains the accounts").with_choices(choices);
        question.default = guesses.first().map(|guess| guess.table.name.clone());
        let seen = format!("{} with {}", engine.title(), counted(tables.len(), "table", "tables"));
        return Ok(Discovered::ask([question]).with_seen(seen));
    };
    let guess = guesses.iter().find(|guess| guess.table.name == wanted).ok_or_else(|| {
        Error::internal(format!(
            "{}: there is no table '{wanted}' that may contain accounts",
            verdicts.system
        ))
    })?;
    let mut found = Discovered::default().with_seen(guess.seen());
    let mut root = Section::root();
    for (key, value) in access {
        root = root.with(key.as_str(), value.clone(), "");
    }
    let mut values = None;
    if let Some((column, means_active)) = guess.status {
        let held = values_of(lease, &guess.table.name, &quoted(&column.name, engine)).await;
        values = held.as_deref().and_then(|held| meanings(held, means_active));
        found = match &values {
            Some(values) => found.with_seen(format!("{} with {}", column.name, counted(values.len(), "known value", "known values"))),
            None => found.with_warning(format!(
                "{} may show which accounts are active, but its values are unknown: add it to accounts.fields as status, with a table of values",
                column.name
            )),
        };
    } else {
        found =
            found.with_warning("no column shows which accounts are active, so all of them count as active");
    }
    let mut sections = vec![root, guess.section(engine, values.as_ref())];
    let groups = guess.groups(&tables, engine);
    let slugs = groups.iter().filter(|section| section.is_one_of_several).count();
    found = found.with_seen(format!(
        "{}, found by the tables that refer to it",
        counted(slugs, "type of groups", "types of groups")
    ));
    sections.extend(groups);
    found.sections = sections;
    Ok(found.with_warning(
        "accounts are only read; for each action that tasks may execute, add its statements (actions, docs/connectors/sql.md)",
    ))
}

fn columns_of(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).take(8).collect();
    let more = if table.columns.len() > names.len() { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

/// The different values of a column; `None` if there are too many, or if it cannot be read.
async fn values_of(lease: &mut Lease, table: &str, column: &str) -> Option<Vec<String>> {
    let sql = format!("SELECT DISTINCT {column} AS held FROM {table} LIMIT {}", MOST_VALUES + 1);
    let rows = lease.attempt(&sql.into(), Vec::new()).await.ok()?.ok()?.rows;
    if rows.len() > MOST_VALUES {
        return None;
    }
    rows.iter().map(|row| row.get("held").and_then(as_text)).collect()
}
