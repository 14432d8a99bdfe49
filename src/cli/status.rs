//! `bridgehead status`: the status of the running daemon, over its control socket or else over `admin.listen`, or from
//! the journal if the daemon does not respond.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bridgehead_sdk::http::body;
use tokio::time::Instant;

use super::args::Global;
use super::context::Context;
use super::daemon;
use super::failure::{Exit, Failure, Outcome};
use super::{logging, overview, print, reload};
use crate::control::{self, Request};
use bridgehead_config::Connectors;
use bridgehead_runtime::{self as runtime, StatusReport};

/// How long the daemon may take to respond. It reads its journal, which has a limit of five seconds.
const PATIENCE: Duration = Duration::from_secs(8);
/// No valid response is larger.
const LARGEST: usize = 16 * 1024 * 1024;

/// Why there is no response from the daemon.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    #[error(
        "No daemon listens on the control socket {0}: it is not running, or runs with a different \
         configuration. Check `systemctl status bridgehead` and `journalctl -u bridgehead`."
    )]
    NoSocket(PathBuf),
    #[error("{0}.")]
    Control(#[from] control::Error),
    #[error(
        "Nothing listens on {0} (admin.listen): the daemon is not running, or runs with a different \
         configuration. Check `systemctl status bridgehead` and `journalctl -u bridgehead`."
    )]
    Nobody(SocketAddr),
    #[error(
        "The daemon at {0} (admin.listen) did not respond within {PATIENCE:?}. If this persists, check \
         `journalctl -u bridgehead` and restart it; a restart loses nothing."
    )]
    Late(SocketAddr),
    #[error(
        "The process that listens on {0} (admin.listen) is not bridgehead ({1}). Set admin.listen to a free \
         port, and restart the daemon."
    )]
    Stranger(SocketAddr, String),
}

pub(crate) async fn run(global: &Global, connectors: &Connectors, names: &[String]) -> Outcome {
    let context = match Context::load(global, connectors) {
        Ok(context) => context,
        Err(failure) => {
            // A running daemon continues with its current configuration, and still responds.
            let folder = reload::state_folder(global, connectors);
            if let Ok(Some(daemon)) = control::connect(&folder).await
                && let Ok(overview) = daemon.ask(&Request::Status).await
            {
                show(global, &overview);
            }
            return Err(failure);
        }
    };
    logging::start_quiet(&context.config.log, &context.redactor);
    let names = context.names(names)?;
    match answer(&context).await {
        Ok(mut overview) => {
            let unknown: Vec<String> =
                names.iter().filter(|name| !overview.apps.contains_key(*name)).cloned().collect();
            overview.apps.retain(|name, _| names.contains(name));
            show(global, &overview);
            if !unknown.is_empty() {
                print::complain(format!(
                    "The running daemon does not know {}: the configuration has changed since it was read. Run `bridgehead reload`.",
                    unknown.join(", ")
                ));
            }
            let is_well = !overview.needs_somebody() && unknown.is_empty();
            if is_well { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
        }
        Err(silence) => {
            print::complain(format!("{silence}\n"));
            let mut overview = from_journal(&context).await?;
            overview.apps.retain(|name, _| names.contains(name));
            show(global, &overview);
            Err(Failure::silent(Exit::Temporary))
        }
    }
}

fn show(global: &Global, overview: &StatusReport) {
    if global.json {
        print::json(overview);
    } else {
        print::line(overview::text(overview));
    }
}

/// The status from the daemon, or else from the journal.
pub(super) async fn overview(context: &Context) -> Result<StatusReport, Failure> {
    match answer(context).await {
        Ok(overview) => Ok(overview),
        Err(_) => from_journal(context).await,
    }
}

async fn answer(context: &Context) -> Result<StatusReport, Silence> {
    match (by_socket(context).await, &context.config.admin) {
        (Err(Silence::NoSocket(_) | Silence::Control(_)), Some(admin)) => ask(admin.listen).await,
        (answer, _) => answer,
    }
}

/// The data of the journal, read while another process may have it open.
async fn from_journal(context: &Context) -> Result<StatusReport, Failure> {
    let place = context.place()?;
    let unreadable = |error: bridgehead_store::Error| {
        Failure::new(Exit::Temporary, format!("The journal is not readable either: {error}"))
    };
    let state = place.read_only().await.map_err(unreadable)?;
    if state.is_none() {
        daemon::no_journal(&place);
    }
    let overview = runtime::from_state(&context.config.apps, state.as_deref()).await;
    if let Some(state) = state {
        state.shut(true).await;
    }
    Ok(overview)
}

async fn by_socket(context: &Context) -> Result<StatusReport, Silence> {
    let folder = &context.config.state.path;
    match control::connect(folder).await? {
        Some(daemon) => Ok(daemon.ask(&Request::Status).await?),
        None => Err(Silence::NoSocket(control::socket(folder))),
    }
}

/// Requests the status from `admin.listen`.
pub(super) async fn ask(listen: SocketAddr) -> Result<StatusReport, Silence> {
    let address = reachable(listen);
    let stranger = |why: String| Silence::Stranger(address, why);
    let deadline = Instant::now() + PATIENCE;
    let client = local_client().map_err(|error| stranger(error.to_string()))?;
    let answer = client.get(format!("http://{address}/status")).send().await;
    let mut response = answer.map_err(|error| match error {
        error if error.is_timeout() => Silence::Late(address),
        error if error.is_connect() => Silence::Nobody(address),
        error => stranger(error.without_url().to_string()),
    })?;
    if !response.status().is_success() {
        return Err(stranger(format!("it responds with {} to /status", response.status())));
    }
    let answer = body::read(&mut response, LARGEST, deadline).await.map_err(|error| match error {
        body::Error::Late => Silence::Late(address),
        error => stranger(error.to_string()),
    })?;
    let overview: StatusReport = serde_json::from_slice(&answer)
        .map_err(|_| stranger("its /status has an unexpected format".to_owned()))?;
    if overview.daemon.is_none() {
        return Err(stranger("its /status does not name a daemon".to_owned()));
    }
    Ok(overview)
}

/// The metrics of the process that listens there, if any.
pub(super) async fn metrics(listen: SocketAddr) -> Option<String> {
    let deadline = Instant::now() + PATIENCE;
    let client = local_client().ok()?;
    let mut response = client.get(format!("http://{}/metrics", reachable(listen))).send().await.ok()?;
    let text = body::read(&mut response, LARGEST, deadline).await.ok()?;
    response.status().is_success().then(|| String::from_utf8_lossy(&text).into_owned())
}

fn local_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        // This machine is never reached through a proxy from the environment.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
}

/// An unspecified address is reached on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that answers one request with this response.
    async fn answering(answer: &'static str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn other_listener_is_not_mistaken_for_the_daemon() {
        for answer in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n{\"at\":\"2026-03-01T12:00:00Z\"}",
            "SSH-2.0-OpenSSH_9.2\r\n",
        ] {
            let address = answering(answer).await;
            let silence = ask(address).await.unwrap_err();
            assert!(matches!(silence, Silence::Stranger(..)), "{answer:?}: {silence:?}");
        }
    }

    #[tokio::test]
    async fn unused_port_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let silence = ask(address).await.unwrap_err();
        assert!(matches!(silence, Silence::Nobody(_)), "{silence:?}");
        assert!(silence.to_string().contains(&address.to_string()));
    }

    #[test]
    fn wildcard_address_is_queried_on_loopback() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(asked("[::]:9464"), "[::1]:9464");
        assert_eq!(asked("10.0.0.7:9464"), "10.0.0.7:9464");
    }
}
