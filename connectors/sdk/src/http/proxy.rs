//! Names the proxy that refused a connection, in messages about it.

use url::Url;

use crate::Network;

/// The HTTP client's message if a proxy responded with 407.
const REFUSED: &str = "proxy authorization required";
/// The environment variables that name a proxy, in order of precedence.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The cause of a failed connection. If a proxy refused it (407), the message names the proxy, without its user name and password, and says
/// what to do.
#[doc(hidden)]
pub fn explained(cause: String, network_proxy: Option<&str>) -> String {
    if !cause.contains(REFUSED) {
        return cause;
    }
    let proxy = network_proxy.map(ToOwned::to_owned).or_else(of_environment);
    let proxy = proxy.unwrap_or_else(|| "the proxy".to_owned());
    format!(
        "{proxy} demands a user name and a password, or rejects those that it got (407); set network.proxy, \
         network.proxy_username and network.proxy_password"
    )
}

/// How messages name the proxy in the configuration.
#[doc(hidden)]
pub fn configured(network: &Network) -> Option<String> {
    network.proxy.as_ref().map(|url| named(url, "network.proxy"))
}

fn of_environment() -> Option<String> {
    let (variable, value) = VARIABLES.iter().find_map(|name| Some((name, std::env::var(name).ok()?)))?;
    let url = if value.contains("://") { value } else { format!("http://{value}") };
    let place = format!("environment variable {variable}");
    Some(Url::parse(&url).map_or_else(|_| format!("the proxy ({place})"), |url| named(&url, &place)))
}

fn named(url: &Url, place: &str) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("the proxy {}://{}{port} ({place})", url.scheme(), url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusing_proxy_is_named_without_its_password() {
        let url = Url::parse("http://ann:hunter2@proxy.example:3128").unwrap();
        let proxy = configured(&Network::default().with_proxy(url)).unwrap();
        let told =
            explained("client error: tunnel error: proxy authorization required".to_owned(), Some(&proxy));
        assert!(told.starts_with("the proxy http://proxy.example:3128 (network.proxy)"), "{told}");
        assert!(told.contains("407") && !told.contains("hunter2") && !told.contains("ann"), "{told}");
        assert_eq!(explained("connection refused".to_owned(), Some(&proxy)), "connection refused");
    }
}
