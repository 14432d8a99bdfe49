//! Which certificates the client trusts.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use bridgehead_sdk::http::reqwest::Method;
use bridgehead_sdk::http::{Client, Limits};
use bridgehead_sdk::{Effect, Network, NetworkError, Subject};
use bridgehead_test_servers::{Authority, Issued};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use url::Url;

use crate::raw::client;

/// Serves a short response over TLS to every client, and returns its port.
fn serve(issued: &Issued) -> u16 {
    let certificate = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The thread ends with the test process.
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok() {
                drop(
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
                );
                stream.conn.send_close_notify();
                drop(stream.flush());
            }
        }
    });
    port
}

fn trusting(pem: &str) -> Network {
    Network::default().with_authorities(pem.as_bytes())
}

fn url(host: &str, port: u16) -> Url {
    Url::parse(&format!("https://{host}:{port}/")).unwrap()
}

#[tokio::test]
async fn server_with_a_configured_ca_is_trusted() {
    let authority = Authority::new();
    let port = serve(&authority.issue(&["localhost", "127.0.0.1"]));
    let client = client(&trusting(&authority.ca_pem()));
    for host in ["localhost", "127.0.0.1"] {
        let answer = client.send(client.request(Method::GET, url(host, port))).await.unwrap();
        assert_eq!(answer.body(), b"ok");
    }
}

#[tokio::test]
async fn untrusted_server_is_sent_nothing() {
    let authority = Authority::new();
    let port = serve(&authority.issue(&["localhost", "127.0.0.1"]));
    let elsewhere = serve(&authority.issue(&["elsewhere.example"]));
    for (network, port) in [
        (Network::default(), port),
        (trusting(&Authority::new().ca_pem()), port),
        (trusting(&authority.ca_pem()), elsewhere),
    ] {
        let client = client(&network);
        let error = client.send(client.request(Method::GET, url("localhost", port))).await.unwrap_err();
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection));
        assert!(error.message().contains("certificate"), "{error}");
    }
}

#[test]
fn ca_file_without_certificates_is_an_error() {
    for pem in ["no certificate at all", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = Client::new("Acme", &trusting(pem), Limits::default()).unwrap_err();
        assert!(matches!(error, NetworkError::Authorities(_) | NetworkError::Tls(_)), "{error}");
    }
}
