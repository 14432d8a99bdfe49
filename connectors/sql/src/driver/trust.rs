//! The trusted certificates: the operating system's authorities, and those of `network.ca_file`.
//!
//! sqlx takes all authorities as one PEM file, and a single unusable one fails the connection. So unusable ones of the operating system are
//! removed first, as is common practice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bridgehead_sdk::Network;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::fault::Fault;

/// All trusted authorities, as PEM.
pub(super) async fn roots(network: &Network) -> Result<Vec<u8>, Fault> {
    let own = network.certificates().map_err(|error| Fault::Tls(error.to_string()))?;
    let system = tokio::task::spawn_blocking(of_the_system).await.unwrap_or_default();
    let mut pem = String::new();
    for certificate in own.iter().chain(&system) {
        write_pem(certificate, &mut pem);
    }
    Ok(pem.into_bytes())
}

fn of_the_system() -> Vec<CertificateDer<'static>> {
    let loaded = rustls_native_certs::load_native_certs();
    for error in loaded.errors {
        tracing::debug!(%error, "a certificate of the operating system cannot be read");
    }
    let usable =
        |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    loaded.certs.into_iter().filter(usable).collect()
}

fn write_pem(certificate: &CertificateDer<'_>, pem: &mut String) {
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in certificate.chunks(48) {
        STANDARD.encode_string(line, pem);
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    proptest! {
        #[test]
        fn certificates_survive_a_pem_round_trip(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            let certificate = CertificateDer::from(bytes);
            let mut pem = String::new();
            write_pem(&certificate, &mut pem);
            let read = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            prop_assert_eq!(read, certificate);
        }
    }
}
