//! The certificate authorities that are trusted if an address names none: those of the operating system.
//!
//! sqlx takes authorities as one PEM string, and a single unusable one makes the connection fail. So unusable ones are removed first.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// The usable authorities of the operating system, in PEM format.
pub fn system_authorities() -> Vec<u8> {
    let loaded = rustls_native_certs::load_native_certs();
    for error in loaded.errors {
        tracing::debug!(%error, "a certificate of the operating system cannot be read");
    }
    let usable =
        |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    let mut pem = String::new();
    for certificate in loaded.certs.into_iter().filter(usable) {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in certificate.chunks(48) {
            STANDARD.encode_string(line, &mut pem);
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem.into_bytes()
}
