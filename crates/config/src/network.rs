//! `[network]`: trusted certificates and the proxy, for the Bridge and for every connector.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use bridgehead_sdk::Redactor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::RootCertStore;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::leaf::{As, EXAMPLE, Form, Leaf, List, Opt};
use super::values::{self, FilePath};
use super::{Error, Origin, Secret};

/// The size limit of a CA file. All authorities that a machine trusts take a quarter of this.
const LONGEST: u64 = 1024 * 1024;

/// The first line of a certificate in PEM.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Additional trusted certificates, and the proxy. Contains no password.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// A PEM file of CA certificates. They are trusted in addition to those of the operating system, for Iden and for every
    /// target.
    #[serde(with = "Opt::<As<FilePath>>")]
    #[schemars(extend("examples" = ["/etc/bridgehead/ca.pem"]))]
    pub ca_file: Option<PathBuf>,
    /// The HTTP proxy; when absent, the environment determines it (`HTTPS_PROXY`, `NO_PROXY`). A Bridge on this machine is
    /// reached without a proxy.
    #[serde(with = "Opt::<As<Proxy>>")]
    #[schemars(extend("examples" = ["http://proxy.example:3128"]))]
    pub proxy: Option<Url>,
    /// The user name for the proxy.
    #[serde(with = "Opt::<As<Username>>")]
    #[schemars(extend("examples" = ["bridgehead"]))]
    pub proxy_username: Option<String>,
    /// The password for the proxy.
    pub proxy_password: Option<Secret>,
    /// Hosts to reach without the proxy: hosts, domains, addresses, networks. Loopback is always included.
    #[serde(with = "List::<Direct>", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["intranet.example.com", "10.0.0.0/8"]]))]
    pub no_proxy: Vec<String>,
    /// The locations of `ca_file` and `proxy_password`.
    #[serde(skip)]
    pub(super) origins: Origins,
}

/// The locations of the keys whose errors show only when they are used.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    pub(super) ca_file: Option<Origin>,
    pub(super) proxy_password: Option<Origin>,
}

impl Network {
    /// Reads the authorities and the proxy's password, and registers the password with the redactor for the lifetime of the process. Makes
    /// no connections.
    pub fn resolve(
        &self,
        environment: &BTreeMap<String, String>,
        redactor: &Redactor,
    ) -> Result<bridgehead_sdk::Network, Error> {
        let authorities = match &self.ca_file {
            None => Vec::new(),
            Some(path) => authorities(path)
                .map_err(|problem| wrong(self.origins.ca_file.as_ref(), "network.ca_file", problem))?,
        };
        let mut proxy = self.proxy.clone();
        if let (Some(url), Some(username)) = (&mut proxy, &self.proxy_username) {
            let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            // A proxy URL has a host, so these cannot fail.
            let mut set = url.set_username(&encoded(username));
            if let Some(secret) = &self.proxy_password {
                let password = secret.read(environment).map_err(|error| {
                    wrong(self.origins.proxy_password.as_ref(), "network.proxy_password", error.to_string())
                })?;
                let password = password.expose_secret();
                let encoded = encoded(password);
                redactor.protect_for_good([password, encoded.as_str()]);
                set = set.and_then(|()| url.set_password(Some(&encoded)));
            }
            if set.is_err() {
                let problem = "the proxy's address cannot contain a user name".to_owned();
                return Err(wrong(None, "network.proxy", problem));
            }
        }
        let mut network = bridgehead_sdk::Network::default()
            .with_authorities(authorities)
            .with_no_proxy(self.no_proxy.iter().cloned());
        network.proxy = proxy;
        Ok(network)
    }
}

fn wrong(at: Option<&Origin>, key: &str, problem: String) -> Error {
    Error::Key { at: at.cloned().unwrap_or(Origin::Default), key: key.to_owned(), problem }
}

/// Reads the file; it must contain at least one certificate, and only valid ones.
fn authorities(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(
        |error| format!("cannot read {shown}: {error}; make it readable for the user that runs bridgehead"),
    )?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!(
            "{shown} is larger than 1 MiB; specify a file that contains the CA certificates"
        ));
    }
    let network = bridgehead_sdk::Network::default().with_authorities(bytes.as_slice());
    let certificates = match network.certificates() {
        Ok(certificates) => certificates,
        Err(_) if bytes.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes()) => {
            return Err(format!("{shown} is damaged or truncated; save the CA certificate there again"));
        }
        Err(_) => {
            return Err(format!(
                "{shown} contains no certificate; put the CA certificate there in PEM format, which starts \
                 with {BEGIN}"
            ));
        }
    };
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        store.add(certificate).map_err(|error| {
            format!("certificate {} in {shown} is not usable: {error}; remove or replace it", index + 1)
        })?;
    }
    Ok(bytes)
}

/// The proxy's address, without anything else.
struct Proxy;

impl Leaf for Proxy {
    type Value = Url;

    fn read(given: Option<&str>) -> Result<Url, String> {
        let expected = || format!("must be a URL such as {EXAMPLE}");
        let url = Url::parse(given.ok_or_else(expected)?).map_err(|_| expected())?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(expected());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "must not contain a user name or password; set proxy_username, and proxy_password = { env = \
                 \"NAME\" } to say where the password is"
                    .to_owned(),
            );
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("must end with the host and port".to_owned());
        }
        Ok(url)
    }
}

/// The user name for the proxy.
struct Username;

impl Leaf for Username {
    type Value = String;

    fn read(given: Option<&str>) -> Result<String, String> {
        let name = values::text(given, EXAMPLE)?;
        // User name and password are sent as one string, separated by a colon.
        if name.contains(':') { Err("must not contain ':'".to_owned()) } else { Ok(name.to_owned()) }
    }
}

/// A host, domain, address or network. A value that could never match is rejected: traffic would silently take the wrong route.
struct Direct;

impl Leaf for Direct {
    type Value = String;

    fn read(given: Option<&str>) -> Result<String, String> {
        let text = values::text(given, EXAMPLE)?;
        let address = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
        let network = text.split_once('/').is_some_and(|(start, length)| {
            let most = if start.contains(':') { 128 } else { 32 };
            address(start) && length.parse::<u8>().is_ok_and(|length| length <= most)
        });
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        let name = text.chars().all(plain) && text.chars().any(|character| character.is_ascii_alphanumeric());
        if text == "*" || address(text) || network || name {
            return Ok(text.to_owned());
        }
        Err("must be a host or domain (which includes its subdomains), an address or a network, such as \
             \"intranet.example.com\" or \"10.0.0.0/8\"; no port, and \"*\" only on its own"
            .to_owned())
    }
}
