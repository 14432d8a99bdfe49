//! What Iden reports about the last sync, and what the daemon concludes if it does not report it. The tests use a small Bridge in this
//! file, which shares no code with the sandbox and responds as the test wants.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::support::World;
use crate::sync_world::{BOLD, ids, people};

/// The response to `GET apps/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Apps {
    /// A list with the app, and the time of its last sync if there is one.
    Listed,
    /// A list without the app.
    NotListed,
    /// An error with this status.
    Status(u16),
    /// No response: the connection is closed.
    Cut,
}

#[derive(Debug)]
struct Said {
    app: String,
    apps: Apps,
    synced_at: Option<String>,
    /// The response to `GET apps/` once a sync is completed.
    apps_once_completed: Apps,
    /// The status of the response to pages; with 200, their records are stored.
    pages: u16,
    accounts: BTreeSet<String>,
    pushed: BTreeSet<String>,
    completed: usize,
    is_complete: bool,
}

/// A Bridge that behaves as configured until the test ends.
struct Iden {
    url: String,
    said: Arc<Mutex<Said>>,
}

impl Iden {
    fn start(app: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/org/acme", listener.local_addr().expect("an address"));
        let said = Arc::new(Mutex::new(Said {
            app: app.to_owned(),
            apps: Apps::Listed,
            synced_at: None,
            apps_once_completed: Apps::Listed,
            pages: 200,
            accounts: BTreeSet::new(),
            pushed: BTreeSet::new(),
            completed: 0,
            is_complete: false,
        }));
        let shared = Arc::clone(&said);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let said = Arc::clone(&shared);
                std::thread::spawn(move || drop(serve(stream, &said)));
            }
        });
        Self { url, said }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().expect("nobody panicked")
    }

    fn has(&self, numbers: impl IntoIterator<Item = usize>) {
        self.said().accounts = ids(numbers);
    }
}

fn serve(stream: TcpStream, said: &Mutex<Said>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? <= 2 {
            break;
        }
        let header = header.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = answer(&mut said.lock().expect("nobody panicked"), method, path, &body);
    let Some((status, answer)) = answer else { return Ok(()) };
    let answer = if status == 204 { String::new() } else { answer.to_string() };
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

fn answer(said: &mut Said, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').skip_while(|part| *part != "apps").skip(1).collect();
    let list =
        |items: Vec<Value>| json!({"count": items.len(), "next": null, "previous": null, "results": items});
    Some(match (method, parts.as_slice()) {
        ("GET", []) => match said.apps {
            Apps::Cut => return None,
            Apps::Status(status) => (status, json!({"detail": "no"})),
            Apps::NotListed => (200, list(vec![])),
            Apps::Listed => {
                let app = json!({"id": said.app, "name": "HR", "configuration_status": "NEW",
                    "created_at": "2020-01-01T00:00:00Z", "last_synced_at": said.synced_at});
                (200, list(vec![app]))
            }
        },
        ("POST", [_, "resource-types"]) => (201, body.clone()),
        ("POST", [_, "sync"]) => {
            said.pushed.clear();
            said.is_complete = false;
            (200, json!({"sync_id": "5a5a5a5a-0000-4000-8000-000000000001"}))
        }
        ("PUT", [_, "sync", _, slug]) => {
            if said.pages != 200 {
                return Some((said.pages, json!({"detail": "no"})));
            }
            let records: Vec<&Value> = body["records"].as_array().into_iter().flatten().collect();
            let mut created = 0;
            for id in records.iter().filter_map(|record| record["id"].as_str()).filter(|_| *slug == "account")
            {
                created += usize::from(said.accounts.insert(id.to_owned()));
                said.pushed.insert(id.to_owned());
            }
            (200, json!({"total": records.len(), "created": created, "updated": records.len() - created}))
        }
        ("GET", [_, "sync", _]) => {
            let status = if said.is_complete { "completed" } else { "in_progress" };
            let counted = json!([{"slug": "account", "name": "Account", "type": "account", "synced_count": said.pushed.len()}]);
            (
                200,
                json!({"sync_id": "5a5a5a5a-0000-4000-8000-000000000001", "status": status, "progress": counted}),
            )
        }
        ("POST", [_, "sync", _, "complete"]) => {
            said.completed += 1;
            said.is_complete = true;
            said.accounts = said.pushed.clone();
            said.apps = said.apps_once_completed;
            // Its clock advances by a second, if it has one.
            said.synced_at = said.synced_at.take().map(|at| later(&at, 1));
            (202, json!({}))
        }
        ("POST", [_, "sync", _, "abandon"]) => (204, Value::Null),
        _ => (404, json!({"detail": "Not found."})),
    })
}

/// The time this many seconds later.
fn later(at: &str, seconds: i64) -> String {
    let at: jiff::Timestamp = at.parse().expect("a time");
    at.saturating_add(jiff::SignedDuration::from_secs(seconds)).expect("a time").to_string()
}

/// A target with these accounts, and the Iden of this file instead of the sandbox.
async fn world(numbers: impl IntoIterator<Item = usize>) -> (World, Iden) {
    let world = World::with_target(target(numbers), BOLD).await;
    let iden = Iden::start(&world.app.to_string());
    let text = world.read("bridgehead.toml").replace(&world.sandbox.base_url(), &iden.url);
    world.write("bridgehead.toml", &text);
    (world, iden)
}

fn target(numbers: impl IntoIterator<Item = usize>) -> Value {
    let types = json!([{"slug": "account", "name": "Account", "type": "account"}]);
    json!({"types": types, "records": {"account": people(numbers)}})
}

#[tokio::test]
async fn failed_first_sync_does_not_prove_that_iden_was_empty() {
    for apps in [Apps::Status(403), Apps::Status(404), Apps::NotListed, Apps::Listed] {
        let (world, iden) = world(0..60).await;
        iden.has(0..100);
        iden.said().apps = apps;
        iden.said().pages = 404;
        let failed = world.sync(&[]).await;
        assert_eq!(failed.code, Some(1), "{apps:?} {failed:?}");
        iden.said().pages = 200;
        for _ in 0..2 {
            let synced = world.sync(&[]).await;
            synced.assert(1, "held");
            assert_eq!(synced.summary["held_because"][0], "lost_state", "{apps:?}");
        }
        let said = iden.said();
        assert_eq!((said.completed, said.accounts.len()), (0, 100), "{apps:?}");
    }
}

#[tokio::test]
async fn empty_target_is_held_unless_iden_is_known_empty() {
    for apps in [Apps::Status(403), Apps::NotListed] {
        let (world, iden) = world([]).await;
        iden.has(0..100);
        iden.said().apps = apps;
        world.sync(&[]).await.assert(1, "held");
        assert_eq!(iden.said().accounts.len(), 100, "{apps:?}");
    }
}

#[tokio::test]
async fn later_sync_time_at_iden_holds_regardless_of_clocks() {
    for at in ["2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
        let (world, iden) = world(0..60).await;
        world.sync(&[]).await.assert(0, "completed");
        // From here on, Iden reports the time; before, it gave none.
        iden.said().synced_at = Some(at.to_owned());
        let first = world.sync(&[]).await;
        if at.starts_with("2099") {
            // The daemon never saw this time, and it is far from the end of its own sync: it is unknown whose sync it is.
            first.assert(1, "held");
            world.sync(&["--allow-removals"]).await.assert(0, "completed");
        } else {
            first.assert(0, "completed");
        }
        world.sync(&[]).await.assert(0, "completed");
        let ours = iden.said().synced_at.clone().expect("a time");
        let theirs = later(&ours, 1);
        iden.said().synced_at = Some(theirs.clone());
        iden.has(0..100);
        let synced = world.sync(&[]).await;
        synced.assert(1, "held");
        assert_eq!(synced.summary["held_because"][0], "stale_state");
        let text = synced.detail();
        assert!(text.contains(&ours) && text.contains(&theirs), "{text}");
        assert_eq!(iden.said().accounts.len(), 100);
    }
}

#[tokio::test]
async fn unknown_sync_time_is_adopted_at_the_next_sync() {
    for lost in [Apps::Cut, Apps::Status(403), Apps::NotListed] {
        let (world, iden) = world(0..60).await;
        iden.said().apps_once_completed = lost;
        world.sync(&[]).await.assert(0, "completed");
        iden.said().apps_once_completed = Apps::Listed;
        iden.said().apps = Apps::Listed;
        iden.said().synced_at = Some(jiff::Timestamp::now().to_string());
        world.sync(&[]).await.assert(0, "completed");
        // Now it is known, and a later one belongs to another client.
        let ours = iden.said().synced_at.clone().expect("a time");
        iden.said().synced_at = Some(later(&ours, 1));
        world.sync(&[]).await.assert(1, "held");
    }
}
