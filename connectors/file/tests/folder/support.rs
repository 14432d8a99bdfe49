//! A folder with a connector for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Connector, Context, Cursor, Error, Operation, Page, Record,
    RejectedRecord, ResourceType, Setup,
};
use serde_json::{Value, json};

/// The accounts that most tests start with. The column `locker` has no special meaning in bridgehead.
pub(crate) const ACCOUNTS: &str = "\
id,email,username,first_name,last_name,display_name,status,team,seat,password_changed_at,locker
u1,ann@example.org,ann,Ann,Arbor,Ann Arbor,active,t1;t2,s1,,\"7, left\"
u2,bob@example.org,bob,Bob,,Bob,suspended,,,,8
";

pub(crate) const TEAMS: &str = "id,name,floor\nt1,Red,1\nt2,Blue,2\n";

pub(crate) const SEATS: &str = "id,name,seats\ns1,Basic,\ns2,Pro,1\n";

pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) connector: Arc<dyn Connector>,
}

impl Place {
    /// A folder with these files and settings.
    pub(crate) fn with(files: &[(&str, &str)], settings: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let connector = connector(folder.path(), settings);
        Self { folder, connector }
    }

    /// Two accounts, two teams, two licenses.
    pub(crate) fn usual() -> Self {
        Self::with(
            &[("accounts.csv", ACCOUNTS), ("team.csv", TEAMS), ("license-seat.csv", SEATS)],
            &json!({}),
        )
    }

    /// The same, as JSON lines.
    pub(crate) fn usual_jsonl() -> Self {
        let accounts = concat!(
            r#"{"id":"u1","email":"ann@example.org","username":"ann","first_name":"Ann","team":["t1","t2"],"seat":["s1"],"locker":{"no":7}}"#,
            "\n",
            r#"{"id":"u2","email":"bob@example.org","username":"bob","status":"suspended","locker":8}"#,
            "\n",
        );
        let teams = "{\"id\":\"t1\",\"name\":\"Red\"}\n{\"id\":\"t2\",\"name\":\"Blue\"}\n";
        let seats = "{\"id\":\"s1\",\"name\":\"Basic\"}\n{\"id\":\"s2\",\"name\":\"Pro\",\"seats\":1}\n";
        Self::with(
            &[("accounts.jsonl", accounts), ("team.jsonl", teams), ("license-seat.jsonl", seats)],
            &json!({}),
        )
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(file), content).unwrap();
    }

    /// The names of everything in the folder, including hidden files.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) async fn run(&self, action: Action, payload: Value) -> Result<Completion, Error> {
        run(&self.connector, action, payload).await
    }

    pub(crate) async fn find(&self, id: &str) -> Option<AccountRecord> {
        self.connector.find_account(&Account::by_id(id)).await.unwrap()
    }

    pub(crate) async fn page(&self, slug: &str, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let resource_type = ResourceType::account(slug, slug);
        self.connector.list(&resource_type, cursor).await
    }

    /// Lists a type to its end.
    pub(crate) async fn list(&self, slug: &str) -> Result<(Vec<Record>, Vec<RejectedRecord>), Error> {
        let mut page = self.page(slug, None).await?;
        let (mut records, mut rejected) = (page.records, page.rejected);
        while let Some(cursor) = page.next {
            page = self.page(slug, Some(&cursor)).await?;
            records.append(&mut page.records);
            rejected.append(&mut page.rejected);
        }
        Ok((records, rejected))
    }
}

pub(crate) fn connector(folder: &Path, settings: &Value) -> Arc<dyn Connector> {
    let mut target = settings.as_object().unwrap().clone();
    // Relative, so that it is resolved from the folder of the configuration file.
    target.insert("path".into(), folder.file_name().unwrap().to_str().unwrap().into());
    // Files are read immediately after a test has written them, except in tests of `settle`.
    target.entry("settle").or_insert_with(|| "0s".into());
    let setup = Setup::new("acme-hr", target).with_base(folder.parent().unwrap());
    bridgehead_file::factory().build(setup).unwrap()
}

pub(crate) async fn run(
    connector: &Arc<dyn Connector>,
    action: Action,
    payload: Value,
) -> Result<Completion, Error> {
    let context = Context::first("task-1", Duration::from_mins(1));
    let operation = Operation::parse(action, serde_json::from_value(payload).unwrap()).unwrap();
    connector.execute(&context, &operation).await
}
