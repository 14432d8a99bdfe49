//! Trusted certificates: one policy for every connector that uses TLS.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use crate::{Network, NetworkError};

impl Network {
    /// The certificates of [`Network::authorities`], each as DER.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, NetworkError> {
        if self.authorities.is_empty() {
            return Ok(Vec::new());
        }
        let certificates = CertificateDer::pem_slice_iter(&self.authorities)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| NetworkError::Authorities(error.to_string()))?;
        if certificates.is_empty() {
            return Err(NetworkError::Authorities("it contains none".to_owned()));
        }
        Ok(certificates)
    }

    /// The configuration for TLS connections: the CA certificates of the operating system and of
    /// [`Network::authorities`] are trusted, and no client certificate is presented.
    pub fn tls(&self) -> Result<ClientConfig, NetworkError> {
        let provider =
            CryptoProvider::get_default().map_or_else(|| Arc::new(aws_lc_rs::default_provider()), Arc::clone);
        let failed = |error: rustls::Error| NetworkError::Tls(error.to_string());
        let verifier =
            Verifier::new_with_extra_roots(self.certificates()?, Arc::clone(&provider)).map_err(failed)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(config)
    }
}
