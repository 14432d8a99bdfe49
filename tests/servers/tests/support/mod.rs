//! Checks that apply to every server, and the running processes according to the operating system.

#![allow(dead_code, reason = "each test program uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bridgehead_test_servers::{Authority, Directory, Login};

/// The processes of a group, without zombies.
pub(crate) fn running(group: u32) -> Vec<String> {
    let stats = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        // Entries that are not processes have no such file, and a process may end in the meantime.
        fs::read_to_string(entry.unwrap().path().join("stat")).ok()
    });
    let of_group = |stat: &String| {
        // id (name) state parent group …; the name may contain any character, including parentheses.
        let after_name = stat.rsplit_once(')').unwrap().1;
        let words: Vec<&str> = after_name.split_whitespace().collect();
        words[2] == group.to_string() && words[0] != "Z"
    };
    stats.filter(of_group).collect()
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

/// The ports and addresses on which a process listens.
pub(crate) fn listeners_of(id: u32) -> Vec<(u16, String)> {
    let files = fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    let targets: Vec<PathBuf> = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok()).collect();
    let of_process = |socket: &Socket| targets.contains(&PathBuf::from(format!("socket:[{}]", socket.inode)));
    let mut found: Vec<_> =
        sockets().into_iter().filter(of_process).map(|socket| (socket.port, socket.address)).collect();
    found.sort();
    found
}

/// A socket on which a process listens.
struct Socket {
    address: String,
    port: u16,
    inode: String,
}

/// Listening TCP sockets and bound UDP sockets.
fn sockets() -> Vec<Socket> {
    let mut found = Vec::new();
    // 0A is LISTEN; a UDP socket without a fixed peer is in the state 07.
    for (table, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[3] != state {
                continue;
            }
            let (address, port) = words[1].rsplit_once(':').unwrap();
            let address = match u32::from_str_radix(address, 16) {
                // The kernel prints the address in the machine's byte order.
                Ok(number) => std::net::Ipv4Addr::from(number.to_ne_bytes()).to_string(),
                Err(_) => address.to_owned(),
            };
            let port = u16::from_str_radix(port, 16).unwrap();
            found.push(Socket { address, port, inode: words[9].to_owned() });
        }
    }
    found
}

/// A bind without TLS.
pub(crate) fn plain(directory: &Directory, login: &Login) -> Command {
    let mut command = Command::new("ldapsearch");
    command.args(["-x", "-H", &directory.ldap_url(), "-D", &login.dn, "-w", &login.password]);
    command.args(["-LLL", "-s", "base", "-b", &directory.suffix, "1.1"]);
    command
}

/// The reader can read but not write, the writer can write, a wrong password is rejected, and passwords cannot be read.
pub(crate) fn logins_may_do_what_they_are_for(directory: &Directory) {
    for login in [&directory.admin, &directory.writer, &directory.reader] {
        assert!(directory.accepts(login), "{}", login.dn);
        assert!(!directory.accepts(&Login { password: "wrong".to_owned(), ..login.clone() }), "{}", login.dn);
    }
    let add = |login: &Login, uid: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), directory.account_ldif(uid)).unwrap();
        directory.tool("ldapadd", login).arg("-f").arg(file.path()).output().unwrap().status.code()
    };
    // 50 is insufficientAccessRights.
    assert_eq!(add(&directory.reader, "by-reader"), Some(50));
    assert_eq!(add(&directory.writer, "by-writer"), Some(0));
    let seen = |filter: &str| {
        let mut command = directory.tool("ldapsearch", &directory.reader);
        command.args(["-LLL", "-b", &directory.suffix, filter, "cn", "userPassword", "unicodePwd"]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let account = seen("(cn=by-writer)");
    assert!(account.contains("by-writer"), "{account}");
    let everything = seen("(objectClass=*)");
    assert!(!everything.contains("userPassword:") && !everything.contains("unicodePwd:"), "{everything}");
}

/// The result code of a bind over TLS.
pub(crate) fn bind_code(directory: &Directory, login: &Login) -> Option<i32> {
    let mut command = directory.tool("ldapsearch", login);
    command.args(["-LLL", "-s", "base", "-b", "", "1.1"]).output().unwrap().status.code()
}

/// A value that must be unique is rejected as `constraintViolation` (19).
pub(crate) fn a_second_account_with_the_same_mail_is_refused(directory: &Directory) {
    directory.add_ldif(&directory.account_ldif("first"));
    let second = directory.account_ldif("second").replace("second@", "first@");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), second).unwrap();
    let mut command = directory.tool("ldapadd", &directory.writer);
    assert_eq!(command.arg("-f").arg(file.path()).output().unwrap().status.code(), Some(19));
}

/// Both ways of TLS work, and the certificate is really verified: another authority is not accepted.
pub(crate) fn tls_is_offered(directory: &Directory) {
    let other = tempfile::NamedTempFile::new().unwrap();
    fs::write(other.path(), Authority::new().ca_pem()).unwrap();
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
