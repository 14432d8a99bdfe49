//! Certificates from the test's own authority, which nothing else trusts.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// A certificate authority. Its keys live as long as the value; its certificates are valid from 2020 to 2100, so that no test depends on
/// the clock.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A server's certificate and its key, as PEM.
#[derive(Clone)]
pub struct Issued {
    pub certificate_pem: String,
    /// PKCS #8.
    pub key_pem: String,
}

/// The paths of an authority's certificate, a server's certificate and the server's key.
#[derive(Clone, Debug)]
pub struct Files {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    /// Readable only by its owner.
    pub key: PathBuf,
}

impl Authority {
    /// Creates an authority that nothing else trusts.
    ///
    /// # Panics
    /// If no key can be created.
    pub fn new() -> Self {
        let mut params = params(Vec::new(), "bridgehead test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority can sign itself");
        Self { issuer }
    }

    /// The certificate that clients must trust.
    pub fn ca_pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate for a server with these host names and addresses, which may also be wrong for a test.
    ///
    /// # Panics
    /// If a name is neither a host name nor an address.
    pub fn issue(&self, names: &[&str]) -> Issued {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let common_name = names.first().cloned().expect("a certificate needs a name");
        let mut params = params(names, &common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority can sign");
        Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    /// Writes `ca.pem`, `server.pem` and `server.key` into a folder: a certificate for `localhost` and `127.0.0.1`.
    ///
    /// # Panics
    /// If the folder cannot be written to.
    pub fn write_to(&self, folder: &Path) -> Files {
        self.issue(&["localhost", "127.0.0.1"]).write_to(folder, self)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Issued {
    /// Writes `ca.pem`, `server.pem` and `server.key` into a folder.
    ///
    /// # Panics
    /// If the folder cannot be written to.
    pub fn write_to(&self, folder: &Path, authority: &Authority) -> Files {
        let files = Files {
            ca: folder.join("ca.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
        };
        fs::write(&files.ca, authority.ca_pem()).expect("the folder can be written to");
        fs::write(&files.certificate, &self.certificate_pem).expect("the folder can be written to");
        fs::write(&files.key, &self.key_pem).expect("the folder can be written to");
        // Some servers reject a key that other users can read.
        owner_only(&files.key);
        files
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Issued")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

fn params(names: Vec<String>, common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(names).expect("these are host names or addresses");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
    params
}

fn owner_only(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
}
