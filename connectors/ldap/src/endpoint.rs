//! The addresses of the servers, and bridgehead's identity there.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bridgehead_sdk::{Network, SettingsError, Trace};
use rustls::ClientConfig;
use url::Url;

use crate::client::{self, Identity};
use crate::references::References;
use crate::schema::Schema;
use crate::servers::Servers;
use crate::settings::{PasswordMethod, Profile, Settings};
use crate::traced::Conversation;

/// Everything that is needed to open a connection and bind.
pub(crate) struct Endpoint {
    pub(crate) app: String,
    /// Where requests and responses are traced, if enabled.
    pub(crate) trace: Option<Trace>,
    /// In order of preference; all work is done on one of them.
    pub(crate) servers: Servers,
    pub(crate) start_tls: bool,
    /// `None` if passwords may be sent in plain text.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) identity: Identity,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) references: References,
    /// What a new connection checks before it is used.
    pub(crate) readiness: Readiness,
    /// Learned from the first connection; see `Directory::learn`.
    pub(crate) schema: OnceLock<Schema>,
}

/// What determines whether a server can be used.
#[derive(Debug)]
pub(crate) struct Readiness {
    pub(crate) profile: Profile,
    /// The base of the accounts, which `bind_dn` must be able to see.
    pub(crate) accounts: String,
    pub(crate) replica: Option<bool>,
}

impl Endpoint {
    /// Checks the addresses of the servers. Does not connect.
    pub(crate) fn new(settings: &Settings, app: &str, network: &Network) -> Result<Self, SettingsError> {
        let urls = urls(settings)?;
        for (key, url) in &urls {
            check_encryption(settings, key, url)?;
        }
        let identity = Identity::new(settings)?;
        for (key, duration) in
            [("connect_timeout", settings.connect_timeout), ("request_timeout", settings.request_timeout)]
        {
            if duration.0 < Duration::from_millis(100) || duration.0 > Duration::from_hours(1) {
                return Err(SettingsError::new(key, "must be between 100ms and 1h"));
            }
        }
        if settings.failover_wait.0 > Duration::from_hours(1) {
            return Err(SettingsError::new("failover_wait", "must be at most 1h"));
        }
        let is_encrypted = settings.start_tls || urls.iter().any(|(_, url)| url.scheme() == "ldaps");
        let mut tls = if is_encrypted { Some(network.tls()?) } else { None };
        client::show_certificate(settings, tls.as_mut())?;
        let accounts = settings.accounts.base.clone().unwrap_or_else(|| settings.base.clone());
        Ok(Self {
            app: app.to_owned(),
            trace: network.trace.clone(),
            servers: Servers::new(urls.into_iter().map(|(_, url)| url).collect(), settings.failover_wait.0),
            start_tls: settings.start_tls,
            tls: tls.map(Arc::new),
            identity,
            connect_timeout: settings.connect_timeout.0,
            request_timeout: settings.request_timeout.0,
            references: References::new(settings, app)?,
            readiness: Readiness { profile: settings.profile, accounts, replica: settings.replica },
            schema: OnceLock::new(),
        })
    }
}

impl Endpoint {
    /// Traces the requests to the server and its responses.
    pub(crate) fn conversation(&self) -> Conversation<'_> {
        Conversation { app: &self.app, trace: self.trace.as_ref() }
    }

    /// Whether the connection to the server in use is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.start_tls || self.servers.url(self.servers.present().server).scheme() == "ldaps"
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("servers", &self.servers)
            .field("start_tls", &self.start_tls)
            .field("identity", &self.identity.label())
            .finish_non_exhaustive()
    }
}

/// The servers, each with the key that names it.
fn urls(settings: &Settings) -> Result<Vec<(String, Url)>, SettingsError> {
    match (&settings.url, settings.urls.as_slice()) {
        (Some(_), [_, ..]) => Err(SettingsError::new("urls", "conflicts with url; keep one of the two")),
        (None, []) => Err(SettingsError::new(
            "url",
            "is required: the address of the server (or urls, for \
                                                     several)",
        )),
        (Some(url), []) => Ok(vec![("url".to_owned(), parse_url("url", url)?)]),
        (None, urls) => {
            let mut servers: Vec<(String, Url)> = Vec::new();
            for (position, text) in urls.iter().enumerate() {
                let key = format!("urls.{position}");
                let url = parse_url(&key, text)?;
                if servers.iter().any(|(_, known)| *known == url) {
                    return Err(SettingsError::new(key, "names a server that is already in the list"));
                }
                servers.push((key, url));
            }
            Ok(servers)
        }
    }
}

fn check_encryption(settings: &Settings, key: &str, url: &Url) -> Result<(), SettingsError> {
    let is_ldaps = url.scheme() == "ldaps";
    if is_ldaps && settings.start_tls {
        let message = "only applies to ldap://; a connection to ldaps:// is always encrypted";
        return Err(SettingsError::new("start_tls", message));
    }
    let is_encrypted = is_ldaps || settings.start_tls;
    if !is_encrypted && !settings.allow_plain_text && !is_loopback(url) {
        let message = "would send passwords in plain text: use ldaps://, or set start_tls = true (or \
                       allow_plain_text = true on a trusted network)";
        return Err(SettingsError::new(key, message));
    }
    if is_encrypted && url.host_str().is_some_and(|host| host.starts_with('[')) {
        let message =
            "must contain the server's name: a certificate cannot be verified against an IPv6 address here";
        return Err(SettingsError::new(key, message));
    }
    let sets_passwords = settings.password.unwrap_or(match settings.profile {
        Profile::ActiveDirectory => PasswordMethod::UnicodePwd,
        Profile::OpenLdap | Profile::Ds389 => PasswordMethod::ExtendedOperation,
    });
    if !is_encrypted && sets_passwords == PasswordMethod::UnicodePwd && !settings.read_only {
        let message = "must be encrypted: Active Directory sets unicodePwd only over TLS; use ldaps://, or \
                       set start_tls = true";
        return Err(SettingsError::new(key, message));
    }
    Ok(())
}

fn parse_url(key: &str, text: &str) -> Result<Url, SettingsError> {
    let wrong = |message: &str| SettingsError::new(key, message);
    let form = "must be \"ldaps://host\" or \"ldap://host\", with a port unless it is the default";
    let url = Url::parse(text).map_err(|_| wrong(form))?;
    if !matches!(url.scheme(), "ldap" | "ldaps") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong(form));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must end with the host or the port: base defines where to search"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not contain a credential: use bind_dn and bind_password"));
    }
    Ok(url)
}

/// Whether a server is on the same machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
