//! `[network]`: when each value is read, and what is rejected.

use std::path::Path;

use bridgehead_sdk::Redactor;

use super::support::{BRIDGE, environment, layered};
use crate::{Config, Errors};

fn network(text: &str) -> Result<Config, Errors> {
    layered(&[&format!("{BRIDGE}[network]\n{text}")], &[])
}

fn authority(name: &str) -> String {
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn invalid_settings_are_refused_when_parsed() {
    let texts = [
        "ca_file = 5",
        "ca_flie = \"ca.pem\"",
        "proxy = \"proxy.example:3128\"",
        "proxy = \"socks5://proxy.example:1080\"",
        "proxy = \"http://me:hunter2@proxy.example:3128\"",
        "proxy = \"http://proxy.example:3128/path\"",
        "proxy = \"http://p:1\"\nproxy_username = \"a:b\"",
        "proxy = \"http://p:1\"\nproxy_username = \"a\"\nproxy_password = \"hunter2\"",
        "proxy = \"http://p:1\"\nproxy_password = { env = \"PASSWORD\" }",
        "proxy_username = \"me\"",
        "no_proxy = [\"intranet\"]",
        "proxy = \"http://p:1\"\nno_proxy = \"intranet\"",
        "proxy = \"http://p:1\"\nno_proxy = [\"a.example\", \"https://b.example\"]",
        "proxy = \"http://p:1\"\nno_proxy = [\"b.example:443\"]",
        "proxy = \"http://p:1\"\nno_proxy = [\"*.example\"]",
        "proxy = \"http://p:1\"\nno_proxy = [\"a.example, b.example\"]",
        "proxy = \"http://p:1\"\nno_proxy = [\"10.0.0.0/33\"]",
    ];
    let told = texts.map(|text| network(text).unwrap_err().to_string()).join("\n");
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told, @r#"
    /etc/a.toml:5:11: network.ca_file: must be a quoted string, for example "/etc/bridgehead/ca.pem"
    /etc/a.toml:5:1: network.ca_flie: unknown key; did you mean 'ca_file'?
    /etc/a.toml:5:9: network.proxy: must be a URL such as "http://proxy.example:3128"
    /etc/a.toml:5:9: network.proxy: must be a URL such as "http://proxy.example:3128"
    /etc/a.toml:5:9: network.proxy: must not contain a user name or password; set proxy_username, and proxy_password = { env = "NAME" } to say where the password is
    /etc/a.toml:5:9: network.proxy: must end with the host and port
    /etc/a.toml:6:18: network.proxy_username: must not contain ':'
    /etc/a.toml:7:18: network.proxy_password: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    /etc/a.toml:6:18: network.proxy_password: only applies with 'proxy_username'; set proxy_username, or remove this key
    /etc/a.toml:5:18: network.proxy_username: only applies with 'proxy'; set proxy, or remove this key
    /etc/a.toml:5:12: network.no_proxy: only applies with 'proxy'; set proxy, or remove this key
    /etc/a.toml:6:12: network.no_proxy: must be a list such as ["intranet.example.com", "10.0.0.0/8"]
    /etc/a.toml:6:26: network.no_proxy[1]: must be a host or domain (which includes its subdomains), an address or a network, such as "intranet.example.com" or "10.0.0.0/8"; no port, and "*" only on its own
    /etc/a.toml:6:13: network.no_proxy[0]: must be a host or domain (which includes its subdomains), an address or a network, such as "intranet.example.com" or "10.0.0.0/8"; no port, and "*" only on its own
    /etc/a.toml:6:13: network.no_proxy[0]: must be a host or domain (which includes its subdomains), an address or a network, such as "intranet.example.com" or "10.0.0.0/8"; no port, and "*" only on its own
    /etc/a.toml:6:13: network.no_proxy[0]: must be a host or domain (which includes its subdomains), an address or a network, such as "intranet.example.com" or "10.0.0.0/8"; no port, and "*" only on its own
    /etc/a.toml:6:13: network.no_proxy[0]: must be a host or domain (which includes its subdomains), an address or a network, such as "intranet.example.com" or "10.0.0.0/8"; no port, and "*" only on its own
    "#);
    for fine in
        ["intranet", ".example.com", "10.0.0.0/8", "10.1.2.3", "fd00::/8", "::1", "*", "with_underscore.x"]
    {
        let text = format!("proxy = \"https://p:1\"\nno_proxy = [{fine:?}]");
        assert_eq!(network(&text).unwrap().network.no_proxy, [fine]);
    }
}

#[test]
fn ca_file_and_proxy_password_are_read_on_resolve() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let text = format!(
        "ca_file = {file:?}\nproxy = \"http://proxy.example:3128\"\nproxy_username = \"domain\\\\me\"\n\
         proxy_password = {{ env = \"PASSWORD\" }}\nno_proxy = [\"intranet\"]"
    );
    let config = network(&text).unwrap();
    let redactor = Redactor::new();
    let resolve = |variables| {
        let resolved = config.network.resolve(&environment(variables), &redactor);
        resolved.map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "DIR"))
    };
    let none = resolve(&[]).unwrap_err();
    insta::assert_snapshot!(none, @"/etc/a.toml:5:11: network.ca_file: cannot read DIR/ca.pem: No such file or directory (os error 2); make it readable for the user that runs bridgehead");
    std::fs::write(&file, "# nothing yet\n").unwrap();
    insta::assert_snapshot!(resolve(&[]).unwrap_err(), @"/etc/a.toml:5:11: network.ca_file: DIR/ca.pem contains no certificate; put the CA certificate there in PEM format, which starts with -----BEGIN CERTIFICATE-----");
    let good = authority("one");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&file, format!("{good}{garbage}")).unwrap();
    insta::assert_snapshot!(resolve(&[]).unwrap_err(), @"/etc/a.toml:5:11: network.ca_file: certificate 2 in DIR/ca.pem is not usable: invalid peer certificate: BadEncoding; remove or replace it");
    std::fs::write(&file, &good[..good.len() / 2]).unwrap();
    insta::assert_snapshot!(resolve(&[]).unwrap_err(), @"/etc/a.toml:5:11: network.ca_file: DIR/ca.pem is damaged or truncated; save the CA certificate there again");
    std::fs::write(&file, vec![b'x'; 1024 * 1024 + 1]).unwrap();
    insta::assert_snapshot!(resolve(&[]).unwrap_err(), @"/etc/a.toml:5:11: network.ca_file: DIR/ca.pem is larger than 1 MiB; specify a file that contains the CA certificates");
    let both = format!("{good}{}", authority("two"));
    std::fs::write(&file, &both).unwrap();
    insta::assert_snapshot!(resolve(&[]).unwrap_err(), @"/etc/a.toml:8:18: network.proxy_password: the environment variable PASSWORD is not set; set it, or read the secret from another place");

    let resolved = resolve(&[("PASSWORD", "p@ss:w%rd/é")]).unwrap();
    assert_eq!(resolved.certificates().unwrap().len(), 2);
    assert_eq!(resolved.no_proxy, ["intranet"]);
    let proxy = resolved.proxy.as_ref().unwrap();
    assert_eq!((proxy.username(), proxy.password()), ("domain%5Cme", Some("p%40ss%3Aw%25rd%2F%C3%A9")));
    assert!(!format!("{resolved:?} {config:?}").contains("p%40ss"));
    let told = redactor.redact(proxy.as_str()).into_owned() + &redactor.redact("p@ss:w%rd/é");
    assert!(!told.contains("ss"), "{told}");
}

#[test]
fn ca_file_is_relative_to_the_configuration() {
    let config = network("ca_file = \"ca.pem\"").unwrap();
    assert_eq!(config.network.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
    let config = layered(&[BRIDGE], &[]).unwrap();
    let resolved = config.network.resolve(&environment(&[]), &Redactor::new()).unwrap();
    assert_eq!(resolved, bridgehead_sdk::Network::default());
    let variables = [
        ("BRIDGEHEAD__NETWORK__PROXY", "http://proxy.example:3128"),
        ("BRIDGEHEAD__NETWORK__PROXY_USERNAME", "me"),
        ("BRIDGEHEAD__NETWORK__PROXY_PASSWORD__ENV", "PASSWORD"),
        ("BRIDGEHEAD__NETWORK__NO_PROXY", "[\"intranet\"]"),
        ("PASSWORD", "hunter2"),
    ];
    let config = layered(&[BRIDGE], &variables).unwrap();
    let resolved = config.network.resolve(&environment(&variables), &Redactor::new()).unwrap();
    assert_eq!(resolved.proxy.unwrap().as_str(), "http://me:hunter2@proxy.example:3128/");
}
