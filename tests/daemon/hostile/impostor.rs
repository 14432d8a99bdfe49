//! A server between the daemon and the Bridge that answers with anything.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A response in place of the Bridge's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trick {
    /// 200 with an empty body.
    Empty,
    /// `null`.
    Null,
    /// A list instead of an object, with unusual items.
    List,
    /// An HTML page, with status 200.
    Html,
    /// The documented fields with wrong types.
    WrongTypes,
    /// A hundred thousand opening brackets.
    Nested,
    /// Millions of items, within the size limit for responses.
    Vast,
    /// JSON that never ends.
    Endless,
    /// JSON sent byte by byte.
    SlowLoris,
    /// Headers sent byte by byte.
    SlowHead,
    /// Headers that never end.
    EndlessHead,
    /// Truncated JSON, with a matching length.
    Truncated,
    /// A length that is larger than the body.
    TooShort,
    /// A length that is smaller than the body, so that bytes are left over.
    TooLong,
    /// A redirect to another host, which must not receive the key.
    Redirect,
    /// A link to the next page on another host.
    ForeignNext,
    /// A link to the next page that leads to the same page.
    LoopingNext,
    /// Not HTTP.
    NotHttp,
    /// The connection is closed without a response.
    Closed,
    /// A 409 that is not from the Bridge.
    HtmlConflict,
    /// A 400 that is not from the Bridge.
    HtmlBadRequest,
}

pub(super) const TRICKS: [Trick; 21] = [
    Trick::Empty,
    Trick::Null,
    Trick::List,
    Trick::Html,
    Trick::WrongTypes,
    Trick::Nested,
    Trick::Vast,
    Trick::Endless,
    Trick::SlowLoris,
    Trick::SlowHead,
    Trick::EndlessHead,
    Trick::Truncated,
    Trick::TooShort,
    Trick::TooLong,
    Trick::Redirect,
    Trick::ForeignNext,
    Trick::LoopingNext,
    Trick::NotHttp,
    Trick::Closed,
    Trick::HtmlConflict,
    Trick::HtmlBadRequest,
];

/// The relevant parts of a request.
pub(super) struct Asked {
    pub(super) method: String,
    /// The path after the app: `/tasks/`, `/sync/{id}/account/`…; without the query.
    pub(super) path: String,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// Forwards it to the Bridge, and returns the Bridge's response.
    Forward,
    /// Returns this response without forwarding the request.
    Instead(Trick),
    /// Forwards it to the Bridge, but returns this response.
    After(Trick),
}

type Plan = Arc<dyn Fn(&Asked) -> Deed + Send + Sync>;

/// A proxy in front of the sandbox that plays tricks, and a trap that foreign links lead to.
pub(super) struct Impostor {
    pub(super) base_url: String,
    plan: Arc<Mutex<Plan>>,
    trap: Trap,
    played: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Impostor {
    /// Starts in front of the Bridge at `base_url`, and forwards everything at first.
    pub(super) async fn before(base_url: &str) -> Self {
        let rest = base_url.strip_prefix("http://").expect("a plain address");
        let (host, path) = rest.split_once('/').expect("a path");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let plan: Arc<Mutex<Plan>> = Arc::new(Mutex::new(Arc::new(|_| Deed::Forward)));
        let (trap, played) = (Trap::set().await, Arc::new(AtomicUsize::new(0)));
        let (bridge, shared, link, counter) =
            (host.to_owned(), Arc::clone(&plan), trap.url.clone(), Arc::clone(&played));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (bridge, link, counter) = (bridge.clone(), link.clone(), Arc::clone(&counter));
                let plan = Arc::clone(&shared.lock().expect("the plan"));
                tokio::spawn(async move {
                    // Every trick ends when the client closes the connection, which is not a failure.
                    drop(Box::pin(serve(stream, &bridge, &link, plan, &counter)).await);
                });
            }
        });
        Self { base_url: format!("http://{address}/{path}"), plan, trap, played, task }
    }

    /// Sets how further requests are handled.
    pub(super) fn plan(&self, plan: impl Fn(&Asked) -> Deed + Send + Sync + 'static) {
        *self.plan.lock().expect("the plan") = Arc::new(plan);
    }

    /// How many tricks were played.
    pub(super) fn played(&self) -> usize {
        self.played.load(Ordering::SeqCst)
    }

    /// How many connections the trap got.
    pub(super) fn trapped(&self) -> usize {
        self.trap.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
        self.trap.task.abort();
    }
}

/// The target of foreign links. Nothing may ever connect to it.
struct Trap {
    url: String,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Trap {
    async fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { url, connections, task }
    }
}

async fn serve(
    mut stream: TcpStream,
    bridge: &str,
    trap: &str,
    plan: Plan,
    played: &AtomicUsize,
) -> std::io::Result<()> {
    let request = read_request(&mut stream).await?;
    let text = String::from_utf8_lossy(&request).into_owned();
    let mut words = text.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let below = target.split_once("/bridge/apps/").map_or("", |(_, rest)| rest);
    let path = below.find('/').map_or("", |at| &below[at..]);
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let (forward, trick) = match plan(&Asked { method: method.to_owned(), path }) {
        Deed::Forward => (true, None),
        Deed::Instead(trick) => (false, Some(trick)),
        Deed::After(trick) => (true, Some(trick)),
    };
    let answer = if forward { ask(bridge, &request).await? } else { Vec::new() };
    match trick {
        None => stream.write_all(&answer).await?,
        Some(trick) => {
            played.fetch_add(1, Ordering::SeqCst);
            play(&mut stream, trick, target, trap).await?;
        }
    }
    stream.shutdown().await
}

/// Reads a whole request, and adds a header so that the connection closes after it.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&chunk[..read]);
        let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(0, |length| length.trim().parse().expect("a length"));
        if request.len() >= end + 4 + length {
            request.splice(end..end, *b"\r\nconnection: close");
            return Ok(request);
        }
    }
}

async fn ask(bridge: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(bridge).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn play(stream: &mut TcpStream, trick: Trick, target: &str, trap: &str) -> std::io::Result<()> {
    const OPEN: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    const HTML: &str = "<!DOCTYPE html><html><body><h1>It works!</h1></body></html>";
    let fine = |body: &str| answer("200 OK", "", body);
    // The item must have no effect, and must exist: no page follows an empty one.
    let page = |next: &str| {
        let item = r#"{"id":"nobody","status":"completed","slug":"nothing","type":"widget"}"#;
        fine(&format!(r#"{{"count":1000,"next":"{next}","previous":null,"results":[{item}]}}"#))
    };
    let whole = match trick {
        Trick::Empty => fine(""),
        Trick::Null => fine("null"),
        Trick::List => fine(r#"[1,"x",null,[],{"id":[]}]"#),
        Trick::Html => fine(HTML),
        Trick::WrongTypes => fine(
            r#"{"id":{"a":1},"sync_id":["x"],"status":["x"],"progress":{"a":1},"results":{"a":1},"count":"x","next":5,"detail":5}"#,
        ),
        Trick::Nested => fine(&"[".repeat(100_000)),
        Trick::Vast => fine(&format!("{{\"results\":[{}0]}}", "0,".repeat(7_500_000))),
        Trick::Truncated => fine(r#"{"count":2,"results":[{"id":"t1","act"#),
        Trick::TooShort => {
            b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\nconnection: close\r\n\r\n{\"results\":[]}".to_vec()
        }
        Trick::TooLong => {
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n{\"results\":[]}".to_vec()
        }
        Trick::Redirect => answer("307 Temporary Redirect", &format!("location: {trap}\r\n"), ""),
        Trick::ForeignNext => page(&format!("{trap}?offset=100")),
        Trick::LoopingNext => page(target),
        Trick::NotHttp => b"220 mail.example.org ESMTP\r\n".to_vec(),
        Trick::Closed => Vec::new(),
        Trick::HtmlConflict => answer("409 Conflict", "", HTML),
        Trick::HtmlBadRequest => answer("400 Bad Request", "", HTML),
        Trick::Endless => {
            stream.write_all(OPEN.as_bytes()).await?;
            stream.write_all(b"{\"results\":[").await?;
            return repeat(stream, "{\"id\":\"x\"},".repeat(4096).as_bytes(), Duration::ZERO).await;
        }
        Trick::SlowLoris => {
            stream.write_all(OPEN.as_bytes()).await?;
            return repeat(stream, b"[", Duration::from_millis(50)).await;
        }
        Trick::SlowHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await?;
            return repeat(stream, b"x", Duration::from_millis(50)).await;
        }
        Trick::EndlessHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            return repeat(stream, "x-padding: x\r\n".repeat(4096).as_bytes(), Duration::ZERO).await;
        }
    };
    stream.write_all(&whole).await
}

/// Repeats the chunk until the client closes the connection.
async fn repeat(stream: &mut TcpStream, chunk: &[u8], every: Duration) -> std::io::Result<()> {
    loop {
        stream.write_all(chunk).await?;
        tokio::time::sleep(every).await;
    }
}
