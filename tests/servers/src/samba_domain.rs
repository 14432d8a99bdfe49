//! Creates an Active Directory domain, which is slow enough to do it once and copy it.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::directory::Directory;
use crate::population::Population;
use crate::process::{require, run};
use crate::samba::unicode_password;

pub(crate) const SUFFIX: &str = "DC=test,DC=lan";
pub(crate) const ADMIN_PASSWORD: &str = "Admin-secret-1";
pub(crate) const WRITER_PASSWORD: &str = "Writer-secret-1";
pub(crate) const READER_PASSWORD: &str = "Reader-secret-1";

/// The program that creates a domain.
const MAKE: &str = include_str!("samba_domain.py");

/// The folder of an unused domain that contains its accounts and groups. It is created if it does not exist.
pub(crate) fn template(directory: &Directory, population: &Population) -> PathBuf {
    let samba = require("samba", "samba-ad-dc");
    let content = content(directory, population);
    // Different inputs result in a different domain.
    let mut hasher = DefaultHasher::new();
    (run(Command::new(samba).arg("--version")), &content, MAKE, configuration(Path::new("")))
        .hash(&mut hasher);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-servers");
    let template = folder.join(format!("samba-{:016x}", hasher.finish()));
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    // Concurrent tests wait for the first of them.
    let lock = File::create(folder.join("samba.lock")).expect("the target folder can be written to");
    lock.lock().expect("a file can be locked");
    if !template.exists() {
        let unfinished = tempfile::tempdir_in(&folder).expect("the target folder can be written to");
        make(unfinished.path(), &content);
        fs::rename(unfinished.path(), &template).expect("a folder can be renamed");
    }
    template
}

/// The configuration of a domain in a folder, for both the tools and the server: all of its files are in the folder.
pub(crate) fn configuration(domain: &Path) -> String {
    let domain = domain.display();
    format!(
        "[global]\nnetbios name = DC1\nrealm = TEST.LAN\nworkgroup = TEST\n\
         server role = active directory domain controller\nidmap_ldb:use rfc2307 = yes\n\
         private dir = {domain}/private\nstate directory = {domain}/state\ncache directory = {domain}/cache\n\
         lock directory = {domain}/lock\npid directory = {domain}/pid\nbinddns dir = {domain}/bind-dns\n\
         ncalrpc dir = {domain}/ncalrpc\nwinbindd socket directory = {domain}/winbindd\n\
         ntp signd socket directory = {domain}/ntp\nlog file = {domain}/log\n\
         # Nobody needs these data after a power cut.\nldb:nosync = yes\n"
    )
}

#[derive(Hash)]
struct Content {
    additions: String,
    changes: String,
}

fn make(folder: &Path, content: &Content) {
    for part in ["private", "state", "lock", "pid", "cache", "bind-dns", "ncalrpc", "winbindd", "ntp"] {
        fs::create_dir_all(folder.join(part)).expect("the folder can be written to");
    }
    let files = tempfile::tempdir().expect("the temporary folder can be written to");
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        fs::write(&path, text).expect("the temporary folder can be written to");
        path
    };
    // The shares that every domain controller must have, even if unused.
    let sysvol = folder.join("state/sysvol");
    let shares = format!(
        "[sysvol]\npath = {sysvol}\n[netlogon]\npath = {sysvol}/test.lan/scripts\n",
        sysvol = sysvol.display()
    );
    let script = write("make.py", MAKE);
    let configuration = write("smb.conf", &(configuration(folder) + &shares));
    let additions = write("additions.ldif", &content.additions);
    let changes = write("changes.ldif", &content.changes);
    // Debian's own Python, for which Debian's packages are made.
    let mut python = Command::new("/usr/bin/python3");
    python.arg(script).arg(configuration).arg(ADMIN_PASSWORD);
    run(python.arg(additions).arg(changes));
}

fn content(directory: &Directory, population: &Population) -> Content {
    let Directory { people, groups, writer, reader, .. } = directory;
    let mut additions = format!(
        "dn: {people}\nobjectClass: organizationalUnit\n\n\
         dn: {groups}\nobjectClass: organizationalUnit\n\n\
         dn: CN=engineering,{groups}\nobjectClass: group\nsAMAccountName: engineering\ndescription: Engineering\n\n\
         dn: CN=sales,{groups}\nobjectClass: group\nsAMAccountName: sales\ndescription: Sales\n\n"
    );
    for (login, name) in [(writer, "writer"), (reader, "reader")] {
        additions += &format!(
            "dn: {}\nobjectClass: user\nsAMAccountName: {name}\nuserPrincipalName: {name}@test.lan\n\
             userAccountControl: 512\n{}\n",
            login.dn,
            unicode_password(&login.password)
        );
    }
    for number in 0..population.accounts {
        let name = Population::account(number);
        // 544: a normal account that requires no password, because it has none.
        additions += &format!(
            "dn: CN={name},{people}\nobjectClass: user\nsAMAccountName: {name}\nuserPrincipalName: {name}@test.lan\n\
             userAccountControl: 544\ngivenName: User\nsn: Number {number:05}\ndisplayName: User {number:05}\n\
             mail: {name}@example.com\n\n"
        );
    }
    for number in 0..population.groups {
        let name = Population::group(number);
        additions += &format!("dn: CN={name},{groups}\nobjectClass: group\nsAMAccountName: {name}\n");
        for member in population.members_of(number) {
            additions += &format!("member: CN={},{people}\n", Population::account(member));
        }
        additions.push('\n');
    }
    let changes = format!(
        "dn: CN=Account Operators,CN=Builtin,{SUFFIX}\nchangetype: modify\nadd: member\nmember: {}\n\n",
        writer.dn
    );
    Content { additions, changes }
}
