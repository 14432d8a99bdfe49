//! Keeping web pages out.
//!
//! A page opened in a browser on the daemon's machine may make its own host name point to 127.0.0.1, and would then be
//! allowed to read the responses. Its requests name that host, so on loopback only requests that name the machine
//! itself are answered.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{StatusCode, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The page may not load, run, send or be framed by anything.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Refuses requests that name a foreign host, and says to browsers what they may do with the answers.
pub(super) async fn guard(State(address): State<SocketAddr>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?").to_owned());
    let mut response = if is_admitted(host.as_deref(), address.ip()) {
        next.run(request).await
    } else {
        let text =
            format!("Use http://{address}/ instead: this listener only responds under its own address.\n");
        (StatusCode::MISDIRECTED_REQUEST, text).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a request that names this host may be answered. Off loopback the operator has opened the listener to a
/// network, where it may well have a name.
fn is_admitted(host: Option<&str>, listening_on: IpAddr) -> bool {
    let Some(host) = host else {
        return true;
    };
    if !listening_on.is_loopback() {
        return true;
    }
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_the_machine_itself_may_be_named() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        for host in ["127.0.0.1:9464", "127.0.0.1", "localhost:9464", "LOCALHOST", "[::1]:9464", "10.0.0.1"] {
            assert!(is_admitted(Some(host), loopback), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:9464", "127.0.0.1.evil.example", "", "a b"] {
            assert!(!is_admitted(Some(host), loopback), "{host}");
        }
        assert!(is_admitted(None, loopback), "a browser always names a host");
    }

    #[test]
    fn in_a_network_it_may_have_a_name() {
        assert!(is_admitted(Some("bridgehead.internal:9464"), "0.0.0.0".parse().unwrap()));
    }
}
