//! `[network]`: a Bridge behind a company's own certificate authority, and behind a proxy. A TLS relay in front of the sandbox, and an HTTP
//! CONNECT proxy in front of the relay.

use std::net::SocketAddr;
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_util::task::AbortOnDropHandle;

use crate::support::World;

/// Only the proxy can reach this address.
const ELSEWHERE: &str = "https://bridge.test/org/sandbox";
const PASSWORD: &str = "p@ss:w%rd/é";

/// Terminates TLS, and forwards the traffic to the sandbox.
struct Relay {
    address: SocketAddr,
    authority: String,
    _accepting: AbortOnDropHandle<()>,
}

async fn relay(world: &World) -> Relay {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&key).expect("an authority").pem();
    let issuer = rcgen::Issuer::new(parameters, key);
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "bridge.test".to_owned()];
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(names).expect("parameters");
    let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .expect("a server");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let sandbox = world.sandbox.address();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the relay hangs up, which some tests expect.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut onward = TcpStream::connect(sandbox).await.expect("the sandbox");
                drop(copy_bidirectional(&mut stream, &mut onward).await);
            });
        }
    });
    Relay { address, authority, _accepting: AbortOnDropHandle::new(accepting) }
}

/// Connects every client to one address, and records the requests.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    fn asked(&self) -> Vec<String> {
        self.heads.lock().expect("the list").clone()
    }
}

async fn proxy(onward: SocketAddr, authorization: Option<&'static str>) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let list = Arc::clone(&heads);
    let accepting = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let list = Arc::clone(&list);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let head = String::from_utf8(head).expect("a head");
                let wanted = authorization.map(|text| format!("proxy-authorization: {text}").to_lowercase());
                let allowed = wanted.is_none_or(|line| head.to_lowercase().lines().any(|own| own == line));
                list.lock().expect("the list").push(head);
                if !allowed {
                    let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
                    drop(stream.write_all(refusal).await);
                    return;
                }
                let mut target = TcpStream::connect(onward).await.expect("the relay");
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("an answer");
                drop(copy_bidirectional(&mut stream, &mut target).await);
            });
        }
    });
    Proxy { address, heads, _accepting: AbortOnDropHandle::new(accepting) }
}

fn configure(world: &World, base_url: &str, network: &str) {
    world.write(
        "bridgehead.toml",
        &format!(
            "[bridge]\nbase_url = {base_url:?}\napi_key = {{ env = \"IDEN_API_KEY\" }}\n[state]\npath = \"state\"\n\
             {network}\n[apps.hr]\napp_id = \"{}\"\nconnector = \"simulated\"\n\
             tasks = {{ poll_interval = \"200ms\" }}\n[apps.hr.target]\naccounts = 150\n",
            world.app
        ),
    );
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn private_ca_is_trusted_through_ca_file() {
    let world = World::new().await;
    let relay = relay(&world).await;
    let base_url = format!("https://localhost:{}/org/sandbox", relay.address.port());
    configure(&world, &base_url, "");
    let refused = world.run(&["check"]).await;
    let told = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("failed   Bridge:") && told.contains("certificate"), "{told}");

    world.write("tls/ca.pem", &relay.authority);
    configure(&world, &base_url, "[network]\nca_file = \"tls/ca.pem\"");
    let checked = world.run(&["check"]).await;
    assert!(checked.status.success(), "{}", said(&checked));
    assert!(said(&checked).contains("tls/ca.pem is trusted"), "{}", said(&checked));
    let task = world.sandbox.add_task(
        world.app,
        json!({"action": "create_account", "payload": {"account": {"username": "bob", "email": "bob@example.org"}}}),
    );
    let daemon = world.start();
    world.drained().await;
    daemon.says("sync completed").await;
    assert_eq!(world.task(&task)["status"], "completed");
    assert_eq!(world.sandbox.records(world.app, "account").len(), 151);
    daemon.stop().await;
}

#[tokio::test]
async fn ca_file_without_a_certificate_prevents_startup() {
    let world = World::new().await;
    world.write("ca.pem", "not a certificate\n");
    configure(&world, &world.sandbox.base_url(), "[network]\nca_file = \"ca.pem\"");
    let refused = world.run(&["run"]).await;
    assert_eq!(refused.status.code(), Some(78));
    let told = said(&refused);
    assert!(told.contains("bridgehead.toml:7:11: network.ca_file: "), "{told}");
    assert!(
        told.contains("ca.pem contains no certificate; put the CA certificate there in PEM format"),
        "{told}"
    );
    let checked = world.run(&["check", "--offline"]).await;
    assert_eq!(checked.status.code(), Some(78));
    assert!(said(&checked).contains("failed   network: "), "{}", said(&checked));
}

#[tokio::test]
async fn bridge_is_reached_through_an_authenticated_proxy() {
    let world = World::new().await;
    let relay = relay(&world).await;
    // domain\me:p@ss:w%rd/é
    let proxy = proxy(relay.address, Some("Basic ZG9tYWluXG1lOnBAc3M6dyVyZC/DqQ==")).await;
    world.write("ca.pem", &relay.authority);
    world.write("password", PASSWORD);
    let network = |username: &str| {
        format!(
            "[network]\nca_file = \"ca.pem\"\nproxy = \"http://{}\"\nproxy_username = {username:?}\n\
             proxy_password = {{ file = \"password\" }}",
            proxy.address
        )
    };
    configure(&world, ELSEWHERE, &network("domain\\me"));
    let checked = world.run(&["check"]).await;
    let told = said(&checked);
    assert!(checked.status.success(), "{told}");
    assert!(told.contains("HTTP goes through proxy 127.0.0.1"), "{told}");
    assert!(!proxy.asked().is_empty());
    for head in proxy.asked() {
        assert!(head.starts_with("CONNECT bridge.test:443 HTTP/1.1\r\n"), "{head}");
        assert!(!head.contains("Api-Key"), "the key is for the Bridge alone: {head}");
    }
    let synced = world.run(&["sync"]).await;
    assert!(synced.status.success(), "{}", said(&synced));
    assert_eq!(world.sandbox.records(world.app, "account").len(), 150);

    configure(&world, ELSEWHERE, &network("somebody-else"));
    let refused = world.run(&["check"]).await;
    let told = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("proxy") && !told.contains("p@ss") && !told.contains("p%40ss"), "{told}");
    let named =
        format!("the proxy http://{} (network.proxy) demands a user name and a password", proxy.address);
    assert!(told.contains(&named) && told.contains("407"), "{told}");
}

#[tokio::test]
async fn local_bridge_bypasses_the_proxy() {
    let world = World::new().await;
    let proxy = proxy(world.sandbox.address(), None).await;
    let address = format!("http://{}", proxy.address);
    configure(&world, &world.sandbox.base_url(), &format!("[network]\nproxy = {address:?}"));
    let checked = world.run(&["check"]).await;
    assert!(checked.status.success(), "{}", said(&checked));
    let variables = [("HTTP_PROXY", address.as_str()), ("http_proxy", address.as_str())];
    let daemon = world.start_with(&variables);
    daemon.says("sync completed").await;
    daemon.stop().await;
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn environment_proxy_is_used_if_none_is_configured() {
    let world = World::new().await;
    let relay = relay(&world).await;
    let environment = proxy(relay.address, None).await;
    let configured = proxy(relay.address, None).await;
    world.write("ca.pem", &relay.authority);
    let check = |network: String| {
        configure(&world, ELSEWHERE, &format!("[network]\nca_file = \"ca.pem\"\n{network}"));
        let mut command = world.command(&["check"]);
        command.env("HTTPS_PROXY", format!("http://{}", environment.address)).env_remove("NO_PROXY");
        async {
            tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ran")
        }
    };
    let checked = check(String::new()).await;
    assert!(checked.status.success(), "{}", said(&checked));
    let before = environment.asked().len();
    assert!(before > 0);
    let checked = check(format!("proxy = \"http://{}\"", configured.address)).await;
    assert!(checked.status.success(), "{}", said(&checked));
    assert_eq!(environment.asked().len(), before, "the configuration outranks it");
    assert!(!configured.asked().is_empty());
}
