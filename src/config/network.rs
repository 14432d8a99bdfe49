//! `[network]`: whom to trust, and which way out to take; for the Bridge and for every connector.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use bridgehead_sdk::Redactor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::RootCertStore;
use secrecy::ExposeSecret;
use url::Url;

use super::error::Reported;
use super::section::Section;
use super::tree::Node;
use super::{Error, Origin, Secret, values};

/// Every authority that a machine trusts takes a quarter of this.
const LONGEST: u64 = 1024 * 1024;

/// How a certificate begins in PEM.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Whom to trust beside what the operating system trusts, and which way out to take.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Certificates of authorities, in PEM; absolute.
    pub ca_file: Option<PathBuf>,
    /// The proxy for HTTP; without it, the environment decides (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`). Holds no
    /// user name and no password.
    pub proxy: Option<Url>,
    /// As whom the proxy is used.
    pub proxy_username: Option<String>,
    /// Where the password for the proxy is.
    pub proxy_password: Option<Secret>,
    /// Hosts that are reached without the proxy. Loopback always is.
    pub no_proxy: Vec<String>,
    /// Where `ca_file` and `proxy_password` stand.
    pub(super) origins: Origins,
}

/// Where the keys stand that can be wrong only when they are used.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    ca_file: Option<Origin>,
    proxy_password: Option<Origin>,
}

impl Network {
    /// Reads the authorities and the proxy's password, and has the redactor look for the latter for as long as the process
    /// runs. Nothing is connected to.
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
            // A proxy has a host, so that these cannot be refused.
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
                let problem = "the proxy's address cannot carry a user name".to_owned();
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

/// The file, if every certificate in it can be used, and there is one.
fn authorities(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(
        |error| format!("{shown} cannot be read: {error}; let the user that runs bridgehead read it"),
    )?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("{shown} is larger than 1 MiB; name a file of the authorities' certificates"));
    }
    let network = bridgehead_sdk::Network::default().with_authorities(bytes.as_slice());
    let certificates = match network.certificates() {
        Ok(certificates) => certificates,
        Err(_) if bytes.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes()) => {
            return Err(format!(
                "{shown} is damaged or cut short; save the authority's certificate there anew"
            ));
        }
        Err(_) => {
            return Err(format!(
                "{shown} holds no certificate; put the authority's there in PEM, which begins with {BEGIN}"
            ));
        }
    };
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        store.add(certificate).map_err(|error| {
            format!("certificate {} in {shown} cannot be used: {error}; take it out or replace it", index + 1)
        })?;
    }
    Ok(bytes)
}

/// Reads the table.
pub(super) fn read(section: &Section<'_>) -> Result<Network, Reported> {
    let ca_file = section.optional("ca_file", |node| values::path(node, "/etc/bridgehead/ca.pem"));
    let proxy = section.optional("proxy", proxy);
    let proxy_username = section.optional("proxy_username", |node| {
        let name = values::text(node, "bridgehead")?;
        // The two travel as one text with a colon between them.
        if name.contains(':') { Err("must not contain ':'".to_owned()) } else { Ok(name.to_owned()) }
    });
    let proxy_password = section.optional("proxy_password", Secret::from_node);
    let no_proxy = section.list("no_proxy", "[\"intranet.example.com\", \"10.0.0.0/8\"]", direct);
    let needs = |name: &str, needed: &str| {
        if section.node(name).is_some() && section.node(needed).is_none() {
            let problem = format!("has a meaning only beside '{needed}'; write {needed}, or leave it out");
            return Err(section.report(name, problem));
        }
        Ok(())
    };
    let username = needs("proxy_username", "proxy");
    let password = needs("proxy_password", "proxy_username");
    let list = needs("no_proxy", "proxy");
    username.and(password).and(list)?;
    let origin = |name| section.node(name).map(|node| node.origin.clone());
    Ok(Network {
        ca_file: ca_file?,
        proxy: proxy?,
        proxy_username: proxy_username?,
        proxy_password: proxy_password?,
        no_proxy: no_proxy?.unwrap_or_default(),
        origins: Origins { ca_file: origin("ca_file"), proxy_password: origin("proxy_password") },
    })
}

/// The proxy's address, and nothing besides.
fn proxy(node: &Node) -> Result<Url, String> {
    let expected = "must be a URL such as \"http://proxy.example:3128\"";
    let url = Url::parse(node.as_str().ok_or(expected)?).map_err(|_| expected.to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(expected.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user name or password; write proxy_username, and where the password is: \
             proxy_password = { env = \"NAME\" }"
            .to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must end with the host and port".to_owned());
    }
    Ok(url)
}

/// A host, domain, address or network. What would never match is refused: the traffic would take the wrong way in silence.
fn direct(node: &Node) -> Result<String, String> {
    let text = values::text(node, "intranet.example.com")?;
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
    Err("must be a host or domain (which stands for what is below it too), an address or a network, such as \
         \"intranet.example.com\" or \"10.0.0.0/8\"; without port, and \"*\" stands alone"
        .to_owned())
}
