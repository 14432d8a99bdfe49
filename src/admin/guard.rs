//! Keeps foreign web pages out.
//!
//! A page opened in a browser on the daemon's machine may make its own host name resolve to 127.0.0.1, and would then be allowed to read
//! the responses. Its requests name that host, so on loopback only requests that name the machine itself are answered. A foreign page may
//! also send a form here; browsers declare its origin.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{StatusCode, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The page loads its own style, script and icon, connects and sends forms only to this listener, and cannot be framed.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Rejects requests that name a foreign host, and sets security headers for browsers.
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
    // With `no-referrer`, browsers would not send the origin of a form.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

/// Whether a form comes from a page of this listener. Browsers send the origin with every form.
pub(super) fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text("origin"), text("host")) else {
        return false;
    };
    let is_same_site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    // https if a proxy in front of this listener terminates TLS.
    let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    is_same_site && from.is_some_and(|from| from.eq_ignore_ascii_case(host))
}

/// Whether a request that names this host is accepted. If the listener is not on loopback, the operator has opened it to a network, where
/// it may have any name.
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
    fn loopback_listener_accepts_only_local_hosts() {
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
    fn network_listener_accepts_host_names() {
        assert!(is_admitted(Some("bridgehead.internal:9464"), "0.0.0.0".parse().unwrap()));
    }

    #[test]
    fn form_must_be_same_origin() {
        let from = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            is_from_here(&map)
        };
        let host = ("host", "127.0.0.1:9464");
        assert!(from(&[host, ("origin", "http://127.0.0.1:9464")]));
        assert!(from(&[host, ("origin", "http://127.0.0.1:9464"), ("sec-fetch-site", "same-origin")]));
        for origin in
            ["null", "http://127.0.0.1:9465", "http://evil.example", "127.0.0.1:9464", "ftp://127.0.0.1:9464"]
        {
            assert!(!from(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(!from(&[host]) && !from(&[("origin", "http://127.0.0.1:9464")]));
        assert!(!from(&[host, ("origin", "http://127.0.0.1:9464"), ("sec-fetch-site", "cross-site")]));
    }
}
