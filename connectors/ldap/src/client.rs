//! The identity that bridgehead has for the server: a name and a password, or a client certificate.

use std::sync::Arc;

use bridgehead_sdk::SettingsError;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use secrecy::{ExposeSecret as _, SecretString};

use crate::name::Name;
use crate::settings::{BindMethod, Profile, Settings};

/// How bridgehead authenticates.
pub(crate) enum Identity {
    /// With a password.
    Simple { dn: String, password: SecretString },
    /// With the client certificate, which the server maps to an entry (SASL EXTERNAL, RFC 4422).
    External,
}

impl Identity {
    /// Checks the settings.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        if settings.bind == BindMethod::Simple {
            return simple(settings);
        }
        for (key, is_set) in
            [("bind_dn", settings.bind_dn.is_some()), ("bind_password", settings.bind_password.is_some())]
        {
            if is_set {
                let message = "only applies to bind = \"simple\"; with \"external\" the server takes the \
                               name from the certificate";
                return Err(SettingsError::new(key, message));
            }
        }
        if settings.client_certificate.is_none() {
            return Err(SettingsError::new("client_certificate", "is required with bind = \"external\""));
        }
        Ok(Self::External)
    }

    /// The identity, as messages show it.
    pub(crate) fn label(&self) -> &str {
        match self {
            Self::Simple { dn, .. } => dn,
            Self::External => "the entry of client_certificate",
        }
    }
}

fn simple(settings: &Settings) -> Result<Identity, SettingsError> {
    let wrong = |message: &str| Err(SettingsError::new("bind_dn", message));
    let dn = settings.bind_dn.as_deref().unwrap_or_default().trim();
    if dn.is_empty() {
        return wrong(
            "must name the entry that bridgehead binds as; an anonymous connection cannot make changes",
        );
    }
    let is_name = Name::parse(dn).is_ok();
    match settings.profile {
        Profile::ActiveDirectory if !is_name && !dn.contains(['@', '\\']) => {
            return wrong("must be a distinguished name, \"user@domain\" or \"DOMAIN\\user\"");
        }
        Profile::OpenLdap | Profile::Ds389 if !is_name => {
            return wrong("must be a distinguished name such as \"cn=bridgehead,dc=example,dc=com\"");
        }
        _ => {}
    }
    match &settings.bind_password {
        Some(password) if !password.expose_secret().is_empty() => Ok(Identity::Simple {
            dn: settings.bind_dn.clone().unwrap_or_default(),
            password: password.clone(),
        }),
        // RFC 4513, 5.1.2: the server accepts such a bind, but as anonymous.
        Some(_) => Err(SettingsError::new(
            "bind_password",
            "is empty; a bind without a password succeeds but is not authenticated",
        )),
        None => Err(SettingsError::new("bind_password", "is required with bind = \"simple\"")),
    }
}

/// Adds the client certificate of the settings, if there is one, to the TLS configuration.
pub(crate) fn show_certificate(
    settings: &Settings,
    tls: Option<&mut ClientConfig>,
) -> Result<(), SettingsError> {
    let (certificate, key) = match (&settings.client_certificate, &settings.client_key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(()),
        (Some(_), None) => {
            return Err(SettingsError::new("client_key", "is required with client_certificate"));
        }
        (None, Some(_)) => {
            return Err(SettingsError::new("client_certificate", "is required with client_key"));
        }
    };
    let Some(tls) = tls else {
        let message = "can only be presented on encrypted connections: use ldaps://, or set start_tls = true";
        return Err(SettingsError::new("client_certificate", message));
    };
    let no_certificate = || {
        SettingsError::new(
            "client_certificate",
            "does not contain a PEM certificate; use { file = \"…\" \
                                                     }",
        )
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(no_certificate)?;
    // The cause is left out, because it might contain a part of the key.
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()).map_err(|_| {
        SettingsError::new(
            "client_key",
            "does not contain an unencrypted PEM private key; use { file = \"…\" }",
        )
    })?;
    let certified = CertifiedKey::from_der(chain, key, tls.crypto_provider());
    let certified = certified.map_err(|error| {
        SettingsError::new("client_key", format!("does not match client_certificate: {error}"))
    })?;
    tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    Ok(())
}
