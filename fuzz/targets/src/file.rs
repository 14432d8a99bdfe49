//! Files that a folder may contain.

use std::cell::RefCell;
use std::path::Path;

use bridgehead_file::{Settings, fuzz};
use bridgehead_sdk::{Action, Error, Operation, Record, RejectedRecord, is_secret_name};
use serde_json::{Map, Value, json};

use crate::invariant::{self, shows_no_secret};

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

type Listed = Result<(Vec<Record>, Vec<RejectedRecord>), Error>;

/// A folder with one file of accounts and one of teams, reused for every input.
struct Folder {
    path: tempfile::TempDir,
    settings: Settings,
}

thread_local! {
    static CSV: RefCell<Option<Folder>> = const { RefCell::new(None) };
    static JSONL: RefCell<Option<Folder>> = const { RefCell::new(None) };
}

fn in_folder(extension: &str, run: impl FnOnce(&mut Folder)) {
    let place = if extension == "csv" { &CSV } else { &JSONL };
    place.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| Folder::new(extension));
        run(folder);
    });
}

impl Folder {
    fn new(extension: &str) -> Self {
        let made = tempfile::tempdir().and_then(|path| {
            let teams = if extension == "csv" {
                "id,name\nt1,Red\nt2,Blue\n"
            } else {
                "{\"id\":\"t1\",\"name\":\"Red\"}\n"
            };
            std::fs::write(path.path().join(format!("team.{extension}")), teams)?;
            Ok(path)
        });
        let settings = serde_json::from_value(json!({"path": ".", "format": extension}));
        match (made, settings) {
            (Ok(path), Ok(settings)) => Self { path, settings },
            (made, settings) => panic!("no folder to work in: {made:?} {settings:?}"),
        }
    }

    fn accounts(&self) -> std::path::PathBuf {
        let extension = if self.path.path().join("team.csv").exists() { "csv" } else { "jsonl" };
        self.path.path().join(format!("accounts.{extension}"))
    }

    fn put(&self, content: &[u8]) {
        if let Err(error) = std::fs::write(self.accounts(), content) {
            panic!("the folder cannot be written: {error}");
        }
    }

    fn content(&self) -> Vec<u8> {
        std::fs::read(self.accounts()).unwrap_or_default()
    }

    fn list(&self) -> Listed {
        fuzz::list(&self.settings, self.path.path(), "account")
    }
}

/// Splits the input into a header byte and the content of a CSV file.
fn parts(data: &[u8]) -> Option<(u8, bool, &[u8])> {
    let (head, content) = data.split_first()?;
    let delimiter = DELIMITERS.get(usize::from(head % 4)).copied()?;
    Some((delimiter, head & 4 == 0, content))
}

#[track_caller]
fn is_in_order(listed: &Listed) {
    match listed {
        Ok((records, rejected)) => {
            for record in records {
                let Record::Account(account) = record else { panic!("{record:?} is no account") };
                assert!(!account.id.as_str().is_empty());
                let secret =
                    account.extra.keys().find(|name| is_secret_name(name) && *name != "password_changed_at");
                assert!(secret.is_none(), "{secret:?} leaves the folder");
            }
            for one in rejected {
                shows_no_secret(&one.to_string());
            }
        }
        Err(error) => {
            shows_no_secret(&format!("{error} {error:?}"));
            assert!(!error.message().is_empty() && error.message().len() < 4096, "{}", error.message().len());
        }
    }
}

/// Compares the CSV reader with the csv crate: accepted content is read as other tools read it, and no row is lost.
pub fn file_csv(data: &[u8]) {
    invariant::begin(data);
    let Some((delimiter, whole, content)) = parts(data) else { return };
    in_folder("csv", |folder| {
        folder.settings.delimiter = delimiter.into();
        folder.settings.require_final_newline = whole;
        folder.put(content);
        let listed = folder.list();
        is_in_order(&listed);
        let Ok((records, rejected)) = &listed else { return };
        let plain = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(plain);
        let header: Vec<String> = reader
            .byte_headers()
            .map(|names| names.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect())
            .unwrap_or_default();
        let rows: Vec<csv::ByteRecord> = reader.byte_records().map_while(Result::ok).collect();
        assert_eq!(
            records.len() + rejected.len(),
            rows.len(),
            "somebody is left out, or appears from nowhere"
        );
        if rejected.is_empty() {
            let Some(id) = header.iter().position(|name| name == "id") else { panic!("no id in {header:?}") };
            for (record, row) in records.iter().zip(&rows) {
                // Whitespace around values is ignored, as in the header.
                let there = row.get(id).map(|cell| String::from_utf8_lossy(cell).trim().to_owned());
                assert_eq!(
                    Some(record.id()),
                    there.as_deref().map(str::trim),
                    "another account than stands there"
                );
            }
        }
        // Repeats the listing with marks in place of secrets.
        let mut writer =
            csv::WriterBuilder::new().delimiter(delimiter).flexible(true).from_writer(Vec::new());
        let mut write = |row: Vec<Vec<u8>>| writer.write_record(row).is_ok();
        let mut good = write(header.iter().map(|name| name.clone().into_bytes()).collect());
        for row in &rows {
            let cells = row.iter().enumerate().map(|(column, cell)| match header.get(column) {
                Some(name) if is_secret_name(name) && name != "password_changed_at" => {
                    invariant::mark().into_bytes()
                }
                _ => cell.to_vec(),
            });
            good &= write(cells.collect());
        }
        if let Ok(tainted) = writer.into_inner()
            && good
        {
            folder.put(&tainted);
            shows_no_secret(&format!("{:?}", folder.list()));
        }
    });
}

/// JSON Lines: every line that is not blank yields a record or a rejected row, and unknown fields are kept.
pub fn file_jsonl(data: &[u8]) {
    invariant::begin(data);
    in_folder("jsonl", |folder| {
        folder.settings.require_final_newline = true;
        folder.put(data);
        let listed = folder.list();
        is_in_order(&listed);
        let Ok((records, rejected)) = &listed else { return };
        let plain = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
        let lines: Vec<&[u8]> = plain
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
            .collect();
        assert_eq!(
            records.len() + rejected.len(),
            lines.len(),
            "somebody is left out, or appears from nowhere"
        );
        if rejected.is_empty() {
            for (record, line) in records.iter().zip(&lines) {
                keeps_what_it_does_not_know(record, line);
            }
        }
        let mut tainted = String::new();
        for line in lines {
            let value = invariant::json(line).unwrap_or_default();
            tainted.push_str(&invariant::tainted(value.clone()).unwrap_or(value).to_string());
            tainted.push('\n');
        }
        folder.put(tainted.as_bytes());
        shows_no_secret(&format!("{:?}", folder.list()));
    });
}

fn keeps_what_it_does_not_know(record: &Record, line: &[u8]) {
    let (Record::Account(account), Some(Value::Object(fields))) = (record, invariant::json(line)) else {
        panic!("{record:?} was made of something else")
    };
    let known = ["id", "email", "username", "first_name", "last_name", "display_name", "status", "team"];
    let plain: Map<String, Value> = fields
        .into_iter()
        .filter(|(name, value)| !value.is_null() && !is_secret_name(name) && !holds_secret(value))
        .collect();
    invariant::keeps_fields(&plain, &Value::Object(account.extra.clone()), &known);
}

fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| is_secret_name(name) || holds_secret(value))
        }
        Value::Array(items) => items.iter().any(holds_secret),
        _ => false,
    }
}

/// Runs an operation on any file: if it succeeds, the next listing shows it and no other account has changed; if it is refused, the file is
/// unchanged.
pub fn file_rewrite(data: &[u8]) {
    invariant::begin(data);
    let Some((delimiter, _, content)) = parts(data) else { return };
    let (action, payload) = match data.first().map_or(0, |head| head / 8 % 5) {
        0 => (Action::CreateAccount, json!({"account": {"username": "zoe", "email": "zoe@example.org"}})),
        1 => (
            Action::UpdateAccount,
            json!({"account": {"id": "u1"}, "changes": {"email": "new;\"x\",\t|@example.org"}}),
        ),
        2 => (Action::DeleteAccount, json!({"account": {"id": "u1"}})),
        3 => (Action::SuspendAccount, json!({"account": {"username": "ann"}})),
        _ => (Action::UnsuspendAccount, json!({"account": {"email": "ann@example.org"}})),
    };
    let payload = serde_json::from_value(payload).unwrap_or_default();
    let Ok(operation) = Operation::parse(action, payload) else { return };
    let extension = if data.first().is_some_and(|head| head & 128 == 0) { "csv" } else { "jsonl" };
    in_folder(extension, |folder| {
        folder.settings.delimiter = delimiter.into();
        folder.settings.require_final_newline = true;
        folder.put(content);
        let before = folder.list();
        let done = fuzz::execute(&folder.settings, folder.path.path(), &operation);
        let left = leftovers(folder.path.path());
        assert_eq!(left, 2, "something is left behind");
        let Ok(_) = done else {
            assert_eq!(folder.content(), content, "rejected, but changed");
            return;
        };
        let Ok((records, rejected)) = before else { panic!("carried out in a file that cannot be read") };
        let after = folder.list();
        let Ok((records_after, rejected_after)) = after else {
            panic!("cannot be read any more: {after:?}");
        };
        // The row of the account may have been rejected before, for example for an invalid status; the operation removes or fixes it.
        let Some(mended) = rejected.len().checked_sub(rejected_after.len()) else {
            panic!("a row was good and is not any more: {rejected_after:?}");
        };
        assert!(mended <= usize::from(action != Action::CreateAccount), "{rejected:?} {rejected_after:?}");
        let changed: Vec<&Record> = records.iter().filter(|record| !records_after.contains(record)).collect();
        let new: Vec<&Record> = records_after.iter().filter(|record| !records.contains(record)).collect();
        match action {
            Action::CreateAccount => assert!(changed.is_empty() && new.len() == 1, "{changed:?} {new:?}"),
            Action::DeleteAccount => {
                assert!(changed.len() + mended <= 1 && new.is_empty(), "{changed:?} {new:?}");
            }
            _ => {
                assert!(changed.len() + mended <= 1, "{changed:?} {new:?}");
                assert_eq!(new.len(), changed.len() + mended, "{changed:?} {new:?}");
            }
        }
        assert!(changed.iter().zip(&new).all(|(old, new)| old.id() == new.id()));
        let (all, all_after) = (records.len() + rejected.len(), records_after.len() + rejected_after.len());
        let expected = match action {
            Action::CreateAccount => all + 1,
            Action::DeleteAccount => all - 1,
            _ => all,
        };
        assert_eq!(all_after, expected);
        if action == Action::UpdateAccount {
            let has_it = records_after.iter().any(|record| {
                matches!(record, Record::Account(account) if account.id.as_str() == "u1" && account.email.as_deref() == Some("new;\"x\",\t|@example.org"))
            });
            // The row may still be rejected because of a field that the update does not change.
            let is_still_bad =
                mended == 0 && rejected_after.iter().any(|row| row.id.as_deref() == Some("u1"));
            assert!(has_it || is_still_bad, "done, and does not show");
        }
    });
}

fn leftovers(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}
