//! Where the server is, and who bridgehead is there.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bridgehead_sdk::{Network, SettingsError};
use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::name::Name;
use crate::settings::{PasswordMethod, Profile, Settings};

/// What is needed to open a connection and bind.
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    pub(crate) start_tls: bool,
    /// `None` if passwords may cross in plain text.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) bind_dn: String,
    pub(crate) bind_password: SecretString,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) referrals: Referrals,
}

/// References to other servers: they are not followed.
#[derive(Debug, Default)]
pub(crate) struct Referrals {
    app: String,
    noticed: AtomicBool,
}

impl Endpoint {
    /// Checks where the server is said to be. Connects to nothing.
    pub(crate) fn new(settings: &Settings, app: &str, network: &Network) -> Result<Self, SettingsError> {
        let url = parse_url(&settings.url)?;
        let is_ldaps = url.scheme() == "ldaps";
        if is_ldaps && settings.start_tls {
            let message = "belongs to ldap://; a connection to ldaps:// is encrypted from the start";
            return Err(SettingsError::new("start_tls", message));
        }
        let is_encrypted = is_ldaps || settings.start_tls;
        if !is_encrypted && !settings.allow_plain_text && !is_loopback(&url) {
            let message = "would send passwords in plain text: use ldaps://, or set start_tls = true \
                (or allow_plain_text = true, if the network is trusted)";
            return Err(SettingsError::new("url", message));
        }
        if is_encrypted && url.host_str().is_some_and(|host| host.starts_with('[')) {
            let message =
                "must have the server's name: a certificate cannot be checked against an IPv6 address here";
            return Err(SettingsError::new("url", message));
        }
        let sets_passwords = settings.password.unwrap_or(match settings.profile {
            Profile::ActiveDirectory => PasswordMethod::UnicodePwd,
            Profile::OpenLdap | Profile::Ds389 => PasswordMethod::ExtendedOperation,
        });
        if !is_encrypted && sets_passwords == PasswordMethod::UnicodePwd && !settings.read_only {
            let message = "must be encrypted: Active Directory sets unicodePwd over TLS alone; use ldaps://, or set \
                start_tls = true";
            return Err(SettingsError::new("url", message));
        }
        check_identity(settings)?;
        for (key, duration) in
            [("connect_timeout", settings.connect_timeout), ("request_timeout", settings.request_timeout)]
        {
            if duration.0 < Duration::from_millis(100) || duration.0 > Duration::from_hours(1) {
                return Err(SettingsError::new(key, "must be between 100ms and 1h"));
            }
        }
        let tls = if is_encrypted {
            let tls = network.tls().map_err(|error| SettingsError::new("", error.to_string()))?;
            Some(Arc::new(tls))
        } else {
            None
        };
        Ok(Self {
            url,
            start_tls: settings.start_tls,
            tls,
            bind_dn: settings.bind_dn.clone(),
            bind_password: settings.bind_password.clone(),
            connect_timeout: settings.connect_timeout.0,
            request_timeout: settings.request_timeout.0,
            referrals: Referrals { app: app.to_owned(), noticed: AtomicBool::new(false) },
        })
    }
}

impl Referrals {
    /// Says once that there are some; a domain of Active Directory has three in every search from its root.
    pub(crate) fn notice(&self) {
        if !self.noticed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                app = %self.app,
                "the directory refers to other servers for a part of it; references are not followed, and what \
                 lies there is neither listed nor found. Nothing is wrong if that part holds no account and no group"
            );
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url.as_str())
            .field("start_tls", &self.start_tls)
            .field("bind_dn", &self.bind_dn)
            .finish_non_exhaustive()
    }
}

fn parse_url(text: &str) -> Result<Url, SettingsError> {
    let wrong = |message: &str| SettingsError::new("url", message);
    let form = "must be \"ldaps://host\" or \"ldap://host\", with a port where it is not the usual one";
    let url = Url::parse(text).map_err(|_| wrong(form))?;
    if !matches!(url.scheme(), "ldap" | "ldaps") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong(form));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must end with the host or the port: where to search is said by base"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must hold no credential: that is bind_dn and bind_password"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn check_identity(settings: &Settings) -> Result<(), SettingsError> {
    let wrong = |message: &str| Err(SettingsError::new("bind_dn", message));
    let bind_dn = settings.bind_dn.trim();
    if bind_dn.is_empty() {
        return wrong(
            "must name the entry that bridgehead binds as; an anonymous connection can change nothing",
        );
    }
    let is_name = Name::parse(bind_dn).is_ok();
    match settings.profile {
        Profile::ActiveDirectory if !is_name && !bind_dn.contains(['@', '\\']) => {
            return wrong("must be a distinguished name, \"user@domain\" or \"DOMAIN\\user\"");
        }
        Profile::OpenLdap | Profile::Ds389 if !is_name => {
            return wrong("must be a distinguished name such as \"cn=bridgehead,dc=example,dc=com\"");
        }
        _ => {}
    }
    if settings.bind_password.expose_secret().is_empty() {
        // RFC 4513, 5.1.2: a server answers such a bind with success, and knows nobody.
        let message = "is empty; a bind without a password succeeds and means nothing";
        return Err(SettingsError::new("bind_password", message));
    }
    Ok(())
}
