//! Responses of the Bridge API, or of another server in its place.

use std::time::Duration;

use bridgehead_bridge::{ApiKey, Error, Operation, Task, TaskPage, fuzz};
use bridgehead_sdk::TaskId;
use serde_json::Value;
use url::Url;

use crate::invariant::{self, is_presentable, json, keeps_fields, shows_no_secret, tainted};

/// The request URL that the task pages are parsed against.
const PAGE: &str = "https://h.test/org/acme/api/v1/bridge/apps/1/tasks/?status=pending&limit=100";

/// The maximum length of an error message: bounded text from the server, plus the call that failed.
const SENTENCE: usize = 1500;

fn page_url() -> Url {
    match Url::parse(PAGE) {
        Ok(url) => url,
        Err(error) => panic!("{PAGE}: {error}"),
    }
}

#[track_caller]
fn explains(error: &Error) {
    is_presentable(&error.to_string(), SENTENCE);
    shows_no_secret(&format!("{error:?}"));
    assert!(!error.advice().is_empty());
}

/// Runs a reader on the input, and again with marks in place of its secrets.
fn plain_and_tainted(data: &[u8], run: impl Fn(&[u8], Option<&Value>)) {
    let value = json(data);
    run(data, value.as_ref());
    if let Some(tainted) = value.and_then(tainted) {
        run(tainted.to_string().as_bytes(), Some(&tainted));
    }
}

/// Parsing of a page of tasks.
pub fn bridge_task_page(data: &[u8]) {
    invariant::begin(data);
    plain_and_tainted(data, |body, value| match fuzz::task_page(body, &page_url()) {
        Ok(page) => {
            shows_no_secret(&format!("{page:?}"));
            for what in &page.unreadable {
                is_presentable(what, 200);
            }
            stays_at_home(&page);
            let items = value.map(|value| value.get("results").unwrap_or(value)).and_then(Value::as_array);
            if let Some(items) = items {
                let all = page.tasks.len() + page.unreadable.len();
                assert!(all == items.len() || page.unreadable.len() == 100, "an item went missing");
                let readable = items.iter().filter(|item| {
                    fuzz::task_page(format!("[{item}]").as_bytes(), &page_url())
                        .is_ok_and(|one| !one.tasks.is_empty())
                });
                for (task, item) in page.tasks.iter().zip(readable) {
                    keeps_everything(task, item);
                }
            }
        }
        Err(error) => explains(&error),
    });
}

/// Checks that a link to the next page stays where the API key may be sent.
fn stays_at_home(page: &TaskPage) {
    let Some(next) = &page.next else { return };
    let shown = format!("{next:?}");
    let shown = shown.trim_start_matches("NextPage(").trim_end_matches(')');
    let home = page_url();
    match Url::parse(shown) {
        Ok(url) => {
            assert_eq!(url.origin(), home.origin(), "{url}");
            assert_eq!(url.path().trim_end_matches('/'), home.path().trim_end_matches('/'), "{url}");
            assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        }
        // The debug form may be truncated; its beginning still shows where the link leads.
        Err(error) => panic!("{shown}: {error}"),
    }
    let earlier = next.rewind(7);
    assert!(earlier.offset() <= next.offset());
}

fn keeps_everything(task: &Task, item: &Value) {
    let (Ok(written), Some(fields)) = (serde_json::to_value(task), item.as_object()) else {
        panic!("a task that cannot be written: {task:?}");
    };
    // Fields that are parsed may be written in another form, for example times, or numbers as identifiers.
    keeps_fields(
        fields,
        &written,
        &["id", "action", "resource_type", "status", "execute_after", "created_at"],
    );
    if let Some(payload) = fields.get("payload") {
        assert_eq!(&task.payload, payload);
    }
    for name in ["action", "resource_type", "status", "execute_after", "created_at"] {
        let lost = fields
            .get(name)
            .is_some_and(|value| !value.is_null() && !value.is_string() && written.get(name) != Some(value));
        assert!(!lost, "{name} could not be read and was not kept");
    }
    let again = serde_json::from_value::<Task>(written).ok();
    assert_eq!(again.as_ref(), Some(task), "does not read back");
}

/// Parsing of one task, and of the response to a report on it.
pub fn bridge_task(data: &[u8]) {
    invariant::begin(data);
    let id = json(data).as_ref().and_then(|value| match value.get("id")? {
        Value::String(id) => Some(id.clone()),
        other => Some(other.to_string()),
    });
    let wanted = TaskId::new(id.unwrap_or_else(|| "t1".to_owned()));
    plain_and_tainted(data, |body, value| {
        match fuzz::task(body, &wanted) {
            Ok(task) => {
                assert!(task.id.as_str().eq_ignore_ascii_case(wanted.as_str()));
                shows_no_secret(&format!("{task:?}"));
                if let Some(item) = value {
                    keeps_everything(&task, item);
                }
            }
            Err(error) => explains(&error),
        }
        let other = TaskId::new(invariant::mark());
        if fuzz::task(body, &other).is_ok() {
            assert!(
                wanted.as_str().eq_ignore_ascii_case(other.as_str()),
                "another task was taken for the one asked for"
            );
        }
        match fuzz::reported(body, &wanted) {
            Ok(()) => {
                let status = value.and_then(|value| value.get("status")).and_then(Value::as_str);
                assert_ne!(status, Some("pending"), "a report that was not heard");
            }
            Err(error) => {
                explains(&error);
                assert!(error.is_transient(), "an outcome would be given up: {error}");
            }
        }
    });
}

/// Parsing of the responses during a sync: start, progress, push, completion.
pub fn bridge_session(data: &[u8]) {
    invariant::begin(data);
    plain_and_tainted(data, |body, value| {
        match fuzz::session(body) {
            Ok(id) => {
                let id = id.as_str();
                assert!(!id.is_empty() && id.len() <= 255 && id != "." && id != "..");
                assert!(!id.chars().any(char::is_control));
            }
            Err(error) => explains(&error),
        }
        match fuzz::progress(body) {
            Ok(progress) => {
                is_bounded(progress.status.as_str());
                if let Some(error) = &progress.error {
                    is_bounded(&error.error_code);
                    is_bounded(&error.message);
                }
                let told = value.and_then(|value| value.get("progress")).and_then(Value::as_array);
                for count in &progress.counts {
                    let is_told = told.into_iter().flatten().any(|one| {
                        one.get("slug").and_then(Value::as_str) == Some(count.slug.as_str())
                            && one.get("synced_count").and_then(Value::as_u64) == count.synced_count
                    });
                    assert!(value.is_none() || is_told, "a count that nobody told: {count:?}");
                }
            }
            Err(error) => explains(&error),
        }
        for error in [fuzz::pushed(body).err(), fuzz::acknowledged(body).err()].into_iter().flatten() {
            explains(&error);
        }
    });
}

#[track_caller]
fn is_bounded(text: &str) {
    assert!(text.chars().count() <= 600, "{} characters", text.chars().count());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

/// Parsing of the lists of apps and resource types, and of a newly created app.
pub fn bridge_lists(data: &[u8]) {
    invariant::begin(data);
    plain_and_tainted(data, |body, value| {
        match fuzz::apps(body, &page_url()) {
            Ok(apps) => {
                let items =
                    value.map(|value| value.get("results").unwrap_or(value)).and_then(Value::as_array);
                assert!(apps.len() <= items.map_or(usize::MAX, Vec::len));
            }
            Err(error) => explains(&error),
        }
        match fuzz::resource_types(body, &page_url()) {
            Ok(types) => assert!(types.iter().all(|one| !one.kind.as_str().is_empty())),
            Err(error) => explains(&error),
        }
        match fuzz::app(body) {
            Ok(app) => {
                let known = ["id", "name", "configuration_status", "created_at", "last_synced_at"];
                if let Some(fields) = value.and_then(Value::as_object) {
                    keeps_fields(fields, &Value::Object(app.extra), &known);
                }
            }
            Err(error) => explains(&error),
        }
    });
}

/// Error responses: the first two bytes select the status, the third selects the call, the rest is the body. `@KEY@` in the body is
/// replaced by the API key, which no message may show.
pub fn bridge_errors(data: &[u8]) {
    const KEY: &str = "key-that-must-not-leak-4711";
    const CALLS: [Operation; 13] = [
        Operation::CreateApp,
        Operation::ListApps,
        Operation::ListResourceTypes,
        Operation::RegisterResourceType,
        Operation::RenameResourceType,
        Operation::StartSync,
        Operation::Push,
        Operation::Progress,
        Operation::Complete,
        Operation::Abandon,
        Operation::ListTasks,
        Operation::ReadTask,
        Operation::Report,
    ];
    invariant::begin(data);
    let [high, low, call, body @ ..] = data else { return };
    let Ok(key) = ApiKey::new(KEY) else { return };
    let status = 300 + u16::from_be_bytes([*high, *low]) % 300;
    let Some(operation) = CALLS.get(usize::from(*call) % CALLS.len()).copied() else { return };
    let body = String::from_utf8_lossy(body).replace("@KEY@", KEY);
    let wait = Some(Duration::from_secs(u64::from(*low)));
    let error = fuzz::refusal(operation, status, wait, body.as_bytes(), &key);
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains(KEY), "shows the key: {text}");
    }
    is_presentable(&error.to_string(), SENTENCE);
    let is_own = body.trim_ascii_start().is_empty() || body.trim_ascii_start().starts_with('{');
    let is_final =
        matches!(error, Error::Conflict { .. } | Error::BadRequest { .. } | Error::Unprocessable { .. });
    assert!(!is_final || is_own, "what the Bridge did not say is taken for its word: {error}");
}
