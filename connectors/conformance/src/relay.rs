//! A relay to the target that understands HTTP: the kit inspects each request, and may respond in the target's place.
//!
//! Other protocols are forwarded unchanged, so that a connector reaches its target in any case.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::http::response::Parts as ResponseParts;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::bad::{Bad, Bads, HTTP, MARK, WAIT};
use super::finding::Verdict;
use super::kit::lock;
use super::network::Peer;
use super::test_target::Protocol;
use super::watch::Watch;
use super::wire;

/// What to do with a request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Forward it, and its response.
    Pass,
    /// Respond in the target's place.
    Answer(Bad),
    /// Forward it, but return this response.
    PassAnd(Bad),
    /// Forward it; replace the first string by the second in its response.
    Replace(String, String),
}

/// A request that arrived, and its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) method: String,
    /// The path with the query.
    pub(super) path: String,
    pub(super) body: Vec<u8>,
    /// `None` until there is a response.
    pub(super) status: Option<u16>,
    /// Whether the response is only `null`.
    pub(super) is_null: bool,
}

impl Seen {
    /// Whether both are the same request.
    pub(super) fn is_again(&self, other: &Self) -> bool {
        (&self.method, &self.path, &self.body) == (&other.method, &other.path, &other.body)
    }

    /// Whether the method always means a change.
    pub(super) fn changes(&self) -> bool {
        matches!(
            self.method.as_str(),
            "PUT"
                | "PATCH"
                | "DELETE"
                | "ADD"
                | "MODIFY"
                | "RENAME"
                | "INSERT"
                | "UPDATE"
                | "MERGE"
                | "REPLACE"
        )
    }

    /// Whether the method always means reading.
    pub(super) fn reads(&self) -> bool {
        matches!(
            self.method.as_str(),
            "GET"
                | "HEAD"
                | "OPTIONS"
                | "SEARCH"
                | "BIND"
                | "COMPARE"
                | "SELECT"
                | "SHOW"
                | "FETCH"
                | "PREPARE"
        )
    }
}

type Script = Arc<dyn Fn(usize, &Seen) -> Act + Send + Sync>;

/// The relay.
pub(super) struct Relay {
    peer: Peer,
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) target: SocketAddr,
    protocol: Protocol,
    script: Mutex<Script>,
    /// The maximum number of records on a page, whatever is requested; 0 for no limit.
    most: AtomicUsize,
    pub(super) seen: Mutex<Vec<Seen>>,
    watch: Arc<Watch>,
}

impl Shared {
    /// Records a request; returns the number of earlier requests, and what to do with it.
    pub(super) fn meet(&self, seen: &Seen) -> (usize, Act) {
        let number = {
            let mut all = lock(&self.seen);
            all.push(seen.clone());
            all.len() - 1
        };
        let script = Arc::clone(&*lock(&self.script));
        (number, script(number, seen))
    }
}

impl Relay {
    pub(super) fn to(target: SocketAddr, protocol: Protocol, watch: Arc<Watch>) -> Verdict<Self> {
        let pass: Script = Arc::new(|_, _| Act::Pass);
        let shared = Arc::new(Shared {
            target,
            protocol,
            script: Mutex::new(pass),
            most: AtomicUsize::new(0),
            seen: Mutex::default(),
            watch,
        });
        let serving = Arc::clone(&shared);
        let peer = Peer::start(move |client, _| {
            let serving = Arc::clone(&serving);
            async move {
                match protocol {
                    Protocol::Http => serve(client, serving).await,
                    other => wire::serve(client, serving, other).await,
                }
            }
        })?;
        Ok(Self { peer, shared })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.peer.address
    }

    /// The bad responses of this protocol.
    pub(super) fn bads(&self) -> &'static Bads {
        wire::bads(self.shared.protocol).unwrap_or(&HTTP)
    }

    /// Whether the protocol is HTTP.
    pub(super) fn is_http(&self) -> bool {
        self.shared.protocol == Protocol::Http
    }

    /// Uses another script from now on, and counts requests from 0 again.
    pub(super) fn play(&self, script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static) {
        lock(&self.shared.seen).clear();
        *lock(&self.shared.script) = Arc::new(script);
    }

    /// Forwards everything, and counts from 0 again.
    pub(super) fn pass(&self) {
        self.play(|_, _| Act::Pass);
    }

    /// Applies `act` to one request, and forwards all others.
    pub(super) fn at(&self, number: usize, act: Act) {
        self.play(move |count, _| if count == number { act.clone() } else { Act::Pass });
    }

    /// Sends this response to every request.
    pub(super) fn always(&self, bad: Bad) {
        self.play(move |_, _| Act::Answer(bad));
    }

    /// Limits pages to this many records, like a server that limits page sizes.
    pub(super) fn cap(&self, most: Option<usize>) {
        self.shared.most.store(most.unwrap_or(0), Ordering::SeqCst);
    }

    /// The requests since the script was set.
    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }
}

/// The first bytes of every HTTP/1 request.
const METHODS: [&[u8]; 7] = [b"GET ", b"POST", b"PUT ", b"PATC", b"DELE", b"HEAD", b"OPTI"];

async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let patience = Duration::from_millis(500);
    let looked = tokio::time::timeout(patience, speaks_http(&client)).await;
    let is_http = if let Ok(is_http) = looked {
        is_http
    } else {
        // A silent client may wait for the target's first message, or keep the connection for later.
        let Ok(mut target) = TcpStream::connect(shared.target).await else { return };
        let target_begins = tokio::select! {
            is_http = speaks_http(&client) => !is_http,
            // The target sent something, or closed the connection.
            _ = target.readable() => true,
        };
        if target_begins {
            drop(tokio::io::copy_bidirectional(&mut client, &mut target).await);
            return;
        }
        true
    };
    if !is_http {
        if let Ok(mut target) = TcpStream::connect(shared.target).await {
            drop(tokio::io::copy_bidirectional(&mut client, &mut target).await);
        }
        return;
    }
    let service = hyper::service::service_fn(move |request| answer(Arc::clone(&shared), request));
    // A connection that ends on purpose is not an error.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service).await);
}

/// Whether the connection starts with an HTTP request.
async fn speaks_http(client: &TcpStream) -> bool {
    let mut first = [0; 4];
    loop {
        match client.peek(&mut first).await {
            Ok(4..) => return METHODS.contains(&&first[..]),
            Ok(0) | Err(_) => return false,
            Ok(_) => tokio::task::yield_now().await,
        }
    }
}

/// A connection that is closed instead of a response.
#[derive(Debug, thiserror::Error)]
#[error("the relay hangs up")]
struct HungUp;

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Part>, HungUp> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| HungUp)?.to_bytes();
    let seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        body: body.to_vec(),
        status: None,
        is_null: false,
    };
    let (number, act) = shared.meet(&seen);
    let most = shared.most.load(Ordering::SeqCst);
    if most > 0
        && let Some(Ok(uri)) = capped(&seen.path, most).map(|path| path.parse::<Uri>())
    {
        head.uri = uri;
    }
    let given = match &act {
        Act::Answer(bad) if *bad != Bad::Half => return bad_answer(*bad).ok_or(HungUp),
        _ => forward(&shared, &head, &body).await,
    };
    let (mut head, body) = given.ok_or(HungUp)?;
    if let Some(seen) = lock(&shared.seen).get_mut(number) {
        seen.status = Some(head.status.as_u16());
        seen.is_null = body.trim_ascii() == b"null";
    }
    let (body, whole) = match &act {
        Act::PassAnd(Bad::Half) | Act::Answer(Bad::Half) => (body.slice(..body.len() / 2), body.len()),
        Act::PassAnd(bad) => return bad_answer(*bad).ok_or(HungUp),
        Act::Replace(from, to) => {
            let replaced = Bytes::from(String::from_utf8_lossy(&body).replace(from, to));
            let length = replaced.len();
            (replaced, length)
        }
        _ => {
            let length = body.len();
            (body, length)
        }
    };
    head.headers.remove(TRANSFER_ENCODING);
    if head.status != StatusCode::NO_CONTENT {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole));
    }
    let breaks_off = body.len() < whole || (whole == 0 && matches!(act, Act::PassAnd(Bad::Half)));
    if breaks_off && body.is_empty() {
        return Err(HungUp);
    }
    Ok(Response::from_parts(head, Part { body: Some(body), breaks_off }))
}

/// How often a request is repeated if the target asks to wait, and for how long in total.
const AGAIN: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// Forwards a request; waits and repeats it if the target asks for that. The load that the kit causes must not look like one of the bad
/// responses that it sends on purpose.
async fn forward(shared: &Shared, head: &Parts, body: &Bytes) -> Option<(ResponseParts, Bytes)> {
    let mut patience = PATIENCE;
    let mut answer = None;
    for _ in 0..AGAIN {
        let request = Request::from_parts(head.clone(), Full::new(body.clone()));
        let (head, body) = ask(shared, request).await?;
        let wait = asked_to_wait(&head).filter(|wait| *wait <= patience);
        answer = Some((head, body));
        let Some(wait) = wait else { break };
        patience = patience.saturating_sub(wait);
        shared.watch.wait(wait).await;
    }
    answer
}

/// How long the target asks to wait, if this is its response.
fn asked_to_wait(head: &ResponseParts) -> Option<Duration> {
    if head.status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let said = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = said.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(1);
    Some(Duration::from_secs(seconds).max(Duration::from_millis(100)))
}

/// Forwards the request to the target, over a separate connection.
async fn ask(shared: &Shared, request: Request<Full<Bytes>>) -> Option<(ResponseParts, Bytes)> {
    let stream = TcpStream::connect(shared.target).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let asked = async {
        let response = sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        Some((head, body.collect().await.ok()?.to_bytes()))
    };
    let mut connection = std::pin::pin!(connection);
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        biased;
        answered = &mut asked => answered,
        // The connection may end before its response was read.
        _ = &mut connection => asked.await,
    }
}

fn bad_answer(bad: Bad) -> Option<Response<Part>> {
    let json = format!(r#"{{"error":{{"code":"kit","message":"no"}},"trace":"{MARK}"}}"#);
    let html = format!("<html><body>Sign in, please <!-- {MARK} --></body></html>");
    let (status, kind, body) = match bad {
        Bad::Status(status) | Bad::Wait(status) | Bad::Until(status) => (status, "application/json", json),
        Bad::Page(status) => (status, "text/html", html),
        Bad::Elsewhere => (302, "text/html", html),
        Bad::NoContent => (204, "application/json", String::new()),
        Bad::ErrorInBody => (200, "application/json", json),
        Bad::Html => (200, "text/html", html),
        Bad::Empty => (200, "application/json", String::new()),
        Bad::Null => (200, "application/json", "null".to_owned()),
        Bad::Half | Bad::HangUp | Bad::Says(_) | Bad::Partly(_) => return None,
    };
    let mut response = Response::new(Part { body: Some(body.into()), breaks_off: false });
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if matches!(bad, Bad::Wait(_)) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(WAIT));
    }
    if matches!(bad, Bad::Until(_)) {
        let until = SystemTime::now() + Duration::from_secs(WAIT);
        response.headers_mut().insert(RETRY_AFTER, httpdate::fmt_http_date(until).parse().ok()?);
    }
    if bad == Bad::Elsewhere {
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/kit-sign-in"));
    }
    Some(response)
}

/// A body, or the part of it that is sent before the connection breaks off.
struct Part {
    body: Option<Bytes>,
    breaks_off: bool,
}

impl Body for Part {
    type Data = Bytes;
    type Error = HungUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HungUp>>> {
        Poll::Ready(match self.body.take() {
            Some(body) => Some(Ok(Frame::data(body))),
            None if self.breaks_off => Some(Err(HungUp)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none() && !self.breaks_off
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) if !self.breaks_off => SizeHint::with_exact(body.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

/// Query parameters that APIs use for the page size.
const SIZES: [&str; 14] = [
    "limit",
    "count",
    "per_page",
    "perPage",
    "page_size",
    "pageSize",
    "pagesize",
    "size",
    "max",
    "maxResults",
    "max_results",
    "top",
    "$top",
    "first",
];

/// The same path and query, with a page size of at most `most`; `None` if no larger size is requested.
pub(super) fn capped(path: &str, most: usize) -> Option<String> {
    let (path, query) = path.split_once('?')?;
    let mut changed = false;
    let parts: Vec<String> = query
        .split('&')
        .map(|part| match part.split_once('=') {
            Some((name, value))
                if SIZES.contains(&name.replace("%24", "$").as_str())
                    && value.parse::<usize>().is_ok_and(|size| size > most) =>
            {
                changed = true;
                format!("{name}={most}")
            }
            _ => part.to_owned(),
        })
        .collect();
    changed.then(|| format!("{path}?{}", parts.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_size_parameter_is_capped() {
        assert_eq!(capped("/u?limit=100&after=7", 2).as_deref(), Some("/u?limit=2&after=7"));
        assert_eq!(capped("/u?x=1&%24top=50", 2).as_deref(), Some("/u?x=1&%24top=2"));
        assert_eq!(capped("/u?limit=2", 2), None);
        assert_eq!(capped("/u", 2), None);
        assert_eq!(capped("/u?offset=100", 2), None);
    }
}
