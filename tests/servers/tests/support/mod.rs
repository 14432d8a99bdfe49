//! What holds of every server, and what runs, as the operating system tells it.

#![allow(dead_code, reason = "each test program uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

use bridgehead_test_servers::{Authority, Directory, Login};

/// Processes of a group that are more than a name waiting for their parent to read how they ended.
pub(crate) fn running(group: u32) -> Vec<String> {
    let output = Command::new("ps").args(["-eo", "pgid=,stat=,args="]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let of_group = |line: &&str| {
        let mut words = line.split_whitespace();
        words.next() == Some(&group.to_string()) && !words.next().is_some_and(|state| state.starts_with('Z'))
    };
    text.lines().filter(of_group).map(str::to_owned).collect()
}

/// Waits until a group is empty.
pub(crate) async fn until_nothing_runs(group: u32) {
    for _ in 0..600 {
        if running(group).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("still running: {:?}", running(group));
}

/// The addresses at which somebody listens at a port, of IPv4 and IPv6.
pub(crate) fn listeners(port: u16) -> Vec<String> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (address, hex_port) = words[1].rsplit_once(':').unwrap();
            // 0A is LISTEN.
            if words[3] != "0A" || u16::from_str_radix(hex_port, 16).unwrap() != port {
                continue;
            }
            let name = match u32::from_str_radix(address, 16) {
                // The kernel prints the address in the machine's order.
                Ok(number) => std::net::Ipv4Addr::from(number.to_ne_bytes()).to_string(),
                Err(_) => address.to_owned(),
            };
            found.push(format!("{name}:{port}"));
        }
    }
    found
}

/// An account as LDIF.
pub(crate) fn person(uid: &str, directory: &Directory) -> String {
    format!(
        "dn: uid={uid},{}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\nmail: {uid}@example.com\n",
        directory.people
    )
}

/// A bind without TLS.
pub(crate) fn plain(directory: &Directory, login: &Login) -> Command {
    let mut command = Command::new("ldapsearch");
    command.args(["-x", "-H", &directory.ldap_url(), "-D", &login.dn, "-w", &login.password]);
    command.args(["-LLL", "-s", "base", "-b", &directory.suffix, "1.1"]);
    command
}

/// The reader reads and does not write, the writer writes, a wrong password is refused, and nobody reads passwords.
pub(crate) fn logins_may_do_what_they_are_for(directory: &Directory) {
    for login in [&directory.admin, &directory.writer, &directory.reader] {
        assert!(directory.accepts(login), "{}", login.dn);
        assert!(!directory.accepts(&Login { password: "wrong".to_owned(), ..login.clone() }), "{}", login.dn);
    }
    let add = |login: &Login, uid: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), person(uid, directory)).unwrap();
        directory.tool("ldapadd", login).arg("-f").arg(file.path()).output().unwrap().status.code()
    };
    // 50 is insufficientAccessRights.
    assert_eq!(add(&directory.reader, "by-reader"), Some(50));
    assert_eq!(add(&directory.writer, "by-writer"), Some(0));
    let read = |login: &Login| {
        let mut command = directory.tool("ldapsearch", login);
        command.args([
            "-LLL",
            "-b",
            &directory.suffix,
            "(|(uid=by-writer)(userPassword=*))",
            "uid",
            "userPassword",
        ]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(read(&directory.reader).contains("uid: by-writer"));
    assert!(!read(&directory.reader).contains("userPassword"));
}

/// The result code of a bind over TLS.
pub(crate) fn bind_code(directory: &Directory, login: &Login) -> Option<i32> {
    let mut command = directory.tool("ldapsearch", login);
    command.args(["-LLL", "-s", "base", "-b", "", "1.1"]).output().unwrap().status.code()
}

/// What an account of one's own may not share is refused as `constraintViolation` (19).
pub(crate) fn a_second_account_with_the_same_mail_is_refused(directory: &Directory) {
    let person = person("first", directory);
    directory.add_ldif(&person);
    let second = person.replacen("uid=first", "uid=second", 1).replace("uid: first", "uid: second");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), second).unwrap();
    let mut command = directory.tool("ldapadd", &directory.writer);
    assert_eq!(command.arg("-f").arg(file.path()).output().unwrap().status.code(), Some(19));
}

/// Both ways to TLS, and the certificate is checked in earnest: another authority is not accepted.
pub(crate) fn tls_is_offered(directory: &Directory) {
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), Authority::new().ca_pem()).unwrap();
    for url in [directory.ldap_url(), directory.ldaps_url()] {
        let connect = |ca: &std::path::Path| {
            let mut command = Command::new("ldapsearch");
            command.env("LDAPTLS_CACERT", ca).env("LDAPTLS_REQCERT", "demand").args(["-x", "-H", &url]);
            if url.starts_with("ldap:") {
                command.arg("-ZZ");
            }
            command.args(["-D", &directory.reader.dn, "-w", &directory.reader.password]);
            command.args(["-LLL", "-s", "base", "-b", "", "1.1"]).output().unwrap()
        };
        let trusted = connect(&directory.ca);
        assert!(trusted.status.success(), "{url}: {}", String::from_utf8_lossy(&trusted.stderr));
        assert!(!connect(other.path()).status.success(), "{url} was trusted by another authority");
    }
}
