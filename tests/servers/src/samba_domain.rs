//! Making an Active Directory domain, which takes long enough to be done once and copied.

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

/// Adds to the domain's database while no server has it open, all in one transaction; by Samba's own library.
const LOAD: &str = "
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
configuration, additions, changes = sys.argv[1:]
parameters = LoadParm()
parameters.load(configuration)
database = SamDB(url=parameters.private_path('sam.ldb'), session_info=system_session(), lp=parameters)
database.transaction_start()
database.add_ldif(open(additions).read())
database.modify_ldif(open(changes).read())
database.transaction_commit()
";

/// The folder of a domain that nobody has used, with its accounts and groups in it. It is made if it is not there yet.
pub(crate) fn template(directory: &Directory, population: &Population) -> PathBuf {
    let samba_tool = require("samba-tool", "samba-ad-provision");
    let content = content(directory, population);
    // Whatever it is made of makes it another.
    let mut hasher = DefaultHasher::new();
    (run(Command::new(&samba_tool).arg("--version")), &content, LOAD, configuration(Path::new("")))
        .hash(&mut hasher);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-servers");
    let template = folder.join(format!("samba-{:016x}", hasher.finish()));
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    // Tests that run at once wait for the first of them.
    let lock = File::create(folder.join("samba.lock")).expect("the target folder can be written to");
    lock.lock().expect("a file can be locked");
    if !template.exists() {
        let unfinished = tempfile::tempdir_in(&folder).expect("the target folder can be written to");
        make(&samba_tool, unfinished.path(), &content);
        fs::rename(unfinished.path(), &template).expect("a folder can be renamed");
    }
    template
}

/// What both the tools and the server are told of a domain in a folder: nothing of it is anywhere else.
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

fn make(samba_tool: &Path, folder: &Path, content: &Content) {
    let mut provision = Command::new(samba_tool);
    provision.args([
        "domain",
        "provision",
        "--realm=TEST.LAN",
        "--domain=TEST",
        "--server-role=dc",
        "--quiet",
    ]);
    provision.args(["--dns-backend=NONE", "--host-name=dc1", "--host-ip=127.0.0.1", "--use-rfc2307"]);
    provision.args([
        "--option=interfaces=lo",
        "--option=bind interfaces only=yes",
        "--option=ldb:nosync=yes",
    ]);
    run(provision
        .arg(format!("--adminpass={ADMIN_PASSWORD}"))
        .arg(format!("--targetdir={}", folder.display())));
    for part in ["lock", "pid", "cache", "ncalrpc", "winbindd", "ntp"] {
        fs::create_dir_all(folder.join(part)).expect("the folder can be written to");
    }
    let files = tempfile::tempdir().expect("the temporary folder can be written to");
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        fs::write(&path, text).expect("the temporary folder can be written to");
        path
    };
    let configuration = write("smb.conf", &configuration(folder));
    let additions = write("additions.ldif", &content.additions);
    let changes = write("changes.ldif", &content.changes);
    // Debian's own Python, for which its packages are.
    let mut load = Command::new("/usr/bin/python3");
    run(load.args(["-c", LOAD]).args([configuration, additions, changes]));
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
        // 544: an ordinary account that needs no password, since it has none.
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
