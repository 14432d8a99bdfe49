//! Trusted certificates, and the proxy that the configuration or the environment selects.

use std::collections::BTreeMap;

use axum::http::Uri;
use bridgehead_sdk::Network;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::super::context::Context;
use bridgehead_runtime::inspection::Finding;

const WHAT: &str = "network";
/// Hosts that are always reached directly if the configuration sets the proxy, as in the SDK.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";
/// The supported schemes of proxies.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// The findings about the network. User name and password of a proxy are never shown.
pub(crate) fn findings(context: &Context, network: &Network) -> Vec<Finding> {
    let trusted =
        context.config.network.ca_file.as_ref().map(|path| format!("{} is trusted", path.display()));
    let through = network.proxy.as_ref().and_then(Url::host_str);
    let through = through.map(|host| format!("HTTP goes through proxy {host}"));
    let said: Vec<String> = trusted.into_iter().chain(through).collect();
    let mut findings = Vec::new();
    if !said.is_empty() {
        findings.push(Finding::ok(WHAT, said.join("; ")));
    }
    let of_environment =
        if network.proxy.is_none() { of_environment(&context.environment) } else { Vec::new() };
    if network.proxy.is_none() && of_environment.is_empty() {
        findings.push(Finding::ok(WHAT, "no proxy is set, so HTTP goes directly to Iden and the targets"));
        return findings;
    }
    findings.extend(of_environment);
    findings.extend(ways(context, network));
    findings
}

/// How each server in a URL of the configuration is reached: with the same rules as the HTTP client.
fn ways(context: &Context, network: &Network) -> Vec<Finding> {
    let rules = match &network.proxy {
        Some(proxy) => Matcher::builder()
            .all(address(proxy))
            .no(format!("{},{LOOPBACK}", network.no_proxy.join(",")))
            .build(),
        None => Matcher::from_env(),
    };
    let (by, but) = match &network.proxy {
        Some(_) => ("network.proxy", "network.no_proxy and loopback"),
        None => ("the environment", "NO_PROXY of the environment"),
    };
    let base_url = &context.config.bridge.base_url;
    let is_local = bridgehead_bridge::Settings::new(base_url.clone()).is_local();
    let mut servers = BTreeMap::from([(base_url.origin().ascii_serialization(), is_local)]);
    for app in context.config.apps.values() {
        for server in app.target.servers() {
            servers.entry(server).or_insert(false);
        }
    }
    let way = |(server, is_local): (&String, &bool)| {
        let proxy = server.parse().ok().and_then(|server: Uri| rules.intercept(&server));
        let found = match proxy {
            _ if *is_local => format!("{server} is reached directly, as it is on this machine"),
            Some(proxy) => format!("{server} is reached through {} ({by})", shown(proxy.uri())),
            None => format!("{server} is reached directly ({but})"),
        };
        Finding::ok(WHAT, found)
    };
    servers.iter().map(way).collect()
}

/// A proxy's address without its user name and password.
fn address(proxy: &Url) -> String {
    let port = proxy.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", proxy.scheme(), proxy.host_str().unwrap_or_default())
}

/// The same for a proxy that the rules have selected.
fn shown(proxy: &Uri) -> String {
    let port = proxy.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", proxy.scheme_str().unwrap_or("http"), proxy.host().unwrap_or_default())
}

/// The proxies from the environment.
fn of_environment(environment: &BTreeMap<String, String>) -> Vec<Finding> {
    // In a CGI program, HTTP_PROXY may come from the network, so it is not trusted.
    if environment.contains_key("REQUEST_METHOD") {
        return Vec::new();
    }
    let first = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| Some((name, environment.get(name)?.trim())))
    };
    let mut findings = Vec::new();
    for (names, what) in [
        (["HTTPS_PROXY", "https_proxy"], "HTTPS"),
        (["HTTP_PROXY", "http_proxy"], "plain HTTP"),
        (["ALL_PROXY", "all_proxy"], "any scheme without its own proxy variable"),
    ] {
        let Some((name, value)) = first(names).filter(|(_, value)| !value.is_empty()) else { continue };
        findings.push(match host_of(value) {
            Some(host) => Finding::ok(WHAT, format!("{what} goes through proxy {host}, because of the \
                                                     environment variable {name}")),
            None => Finding::warning(WHAT, format!("environment variable {name} is not the address of a \
                                                    proxy, and is ignored"))
                .advising(format!(
                    "Set {name} to an address such as \"http://proxy.example:3128\", or network.proxy in the configuration."
                )),
        });
    }
    if findings.is_empty() {
        return findings;
    }
    if let Some((name, value)) = first(["NO_PROXY", "no_proxy"]) {
        let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        for entry in entries.filter(|entry| !can_match(entry)) {
            findings.push(
                Finding::warning(WHAT, format!("'{entry}' in the environment variable {name} never matches"))
                    .advising(
                        "Write a host or domain (which includes its subdomains), an address or a network, \
                         without scheme, port or '*'.",
                    ),
            );
        }
    }
    findings
}

/// The host of a proxy's address, which may lack the scheme; `None` if it is invalid.
fn host_of(value: &str) -> Option<String> {
    // The URL parser is more lenient than the code that reads the proxy from the environment.
    if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return None;
    }
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&url).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    SCHEMES.contains(&url.scheme()).then(|| host.to_owned())
}

/// Whether an entry of `NO_PROXY` can match a host.
fn can_match(entry: &str) -> bool {
    let address = |text: &str| text.parse::<std::net::IpAddr>().ok();
    let is_address = |text: &str| address(text).is_some();
    let is_network = entry.split_once('/').is_some_and(|(start, length)| {
        let longest = address(start).map(|start| if start.is_ipv4() { 32 } else { 128 });
        length.parse::<u8>().is_ok_and(|length| longest.is_some_and(|longest| length <= longest))
    });
    let is_name = entry.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    entry == "*" || is_address(entry) || is_network || is_name
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_runtime::inspection::Verdict;

    fn found(variables: &[(&str, &str)]) -> Vec<(Verdict, String)> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        of_environment(&variables.collect()).into_iter().map(|found| (found.result, found.found)).collect()
    }

    #[test]
    fn environment_proxy_is_named_without_its_password() {
        let found = found(&[("https_proxy", "http://ann:hunter2@proxy.example:3128")]);
        let [(Verdict::Ok, text)] = &*found else { panic!("{found:?}") };
        assert!(text.contains("proxy.example") && text.contains("https_proxy"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("ann"), "{text}");
        assert!(super::of_environment(&BTreeMap::new()).is_empty());
    }

    #[test]
    fn invalid_proxy_is_warned_about_without_showing_it() {
        for odd in ["ftp://proxy", "http://", "not an address", "hunter2\u{1}"] {
            let found = found(&[("HTTPS_PROXY", odd)]);
            let [(Verdict::Warning, text)] = &*found else { panic!("{odd}: {found:?}") };
            assert!(!text.contains(odd), "{text}");
        }
    }

    #[test]
    fn no_proxy_entries_that_never_match_are_warned_about() {
        let list = "*.example.com, intranet.example.com, .x, 10.0.0.0/8, ::1, fd00::/64, *, host:8080, \
                    https://y, 10.0.0.0/33, fd00::/129";
        let found = found(&[("ALL_PROXY", "proxy:3128"), ("NO_PROXY", list)]);
        let warned: Vec<&str> =
            found.iter().skip(1).filter_map(|(_, text)| text.split('\'').nth(1)).collect();
        assert_eq!(warned, ["*.example.com", "host:8080", "https://y", "10.0.0.0/33", "fd00::/129"]);
    }
}
