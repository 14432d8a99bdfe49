//! Samba as an Active Directory domain controller.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::authority::Authority;
use crate::directory::{Directory, Login, Schema};
use crate::options::Options;
use crate::port::free_address;
use crate::process::{Process, require, run};
use crate::samba_domain::{self, ADMIN_PASSWORD, READER_PASSWORD, SUFFIX, WRITER_PASSWORD};

const LDAP: u16 = 389;
const LDAPS: u16 = 636;
/// The global catalog, without and with TLS.
const CATALOGUE: [u16; 2] = [3268, 3269];

/// Writes what a domain controller itself writes once it has received everything.
const SET_SYNCHRONIZED: &str = r#"
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
configuration, database, value = sys.argv[1:]
parameters = LoadParm()
parameters.load(configuration)
SamDB(url=database, session_info=system_session(), lp=parameters).modify_ldif(
    "dn: @ROOTDSE\nchangetype: modify\nreplace: isSynchronized\nisSynchronized: " + value + "\n")
"#;

/// Samba as the only domain controller of the domain `test.lan`, with accounts below `OU=people` and groups below
/// `OU=groups`: `CN=engineering` and `CN=sales`, both empty.
///
/// Its ports cannot be chosen: they are 389 and 636, which ordinary users may not use. Each server has a separate loopback address, so that
/// several can run concurrently. Of Samba's many services, only the one for LDAP runs, in one process.
///
/// The administrator is `Administrator`; the writer is an account operator, who may manage accounts and groups in Active Directory; the
/// reader is a normal user. A simple bind always requires TLS: without it, it returns `strongerAuthRequired` (8). A password must be
/// complex and have seven characters.
///
/// Creating a domain takes half a minute, and 10,000 accounts take minutes, so this is done once, in `target/test-servers`, and copied.
/// Samba has no configurable size limit of a search and no uniqueness of attributes. [`Options::own`] adds a line to the section `[global]`
/// of `smb.conf`.
#[derive(Debug)]
pub struct Samba {
    pub directory: Directory,
    process: Option<Process>,
    folder: tempfile::TempDir,
}

impl Samba {
    /// Starts one with default options.
    ///
    /// # Panics
    /// If it is not installed, does not start, or this user may not use its ports.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts one with options.
    ///
    /// # Panics
    /// If it is not installed, does not start, this user may not use its ports, or it does not support an option.
    pub async fn start_with(options: Options) -> Self {
        // Checked first, so that this is the message if anything is missing.
        require("samba", "samba-ad-dc");
        assert!(options.size_limit.is_none(), "Samba has no limit of a search's size");
        assert!(options.unique.is_empty(), "Samba has no uniqueness of attributes to be configured");
        let folder = tempfile::tempdir().expect("the temporary folder can be written to");
        let address = free_address(&[LDAP, LDAPS, CATALOGUE[0], CATALOGUE[1]]);
        let authority = Authority::new();
        let names = options.names(&address.to_string());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let files = authority.issue(&names).write_to(folder.path(), &authority);
        let users = format!("CN=Users,{SUFFIX}");
        let directory = Directory {
            schema: Schema::ActiveDirectory,
            address,
            ldap_port: LDAP,
            ldaps_port: LDAPS,
            ca: files.ca.clone(),
            suffix: SUFFIX.to_owned(),
            people: format!("OU=people,{SUFFIX}"),
            groups: format!("OU=groups,{SUFFIX}"),
            admin: Login::new(format!("CN=Administrator,{users}"), ADMIN_PASSWORD),
            writer: Login::new(format!("CN=writer,{users}"), WRITER_PASSWORD),
            reader: Login::new(format!("CN=reader,{users}"), READER_PASSWORD),
        };
        let template = samba_domain::template(&directory, &options.population);
        let domain = folder.path().join("domain");
        run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(template).arg(&domain));
        let mut configuration = samba_domain::configuration(&domain);
        configuration += &format!(
            "interfaces = {address}/8\nbind interfaces only = yes\nserver services = ldap\n\
             dcerpc endpoint servers =\ntls keyfile = {}\ntls certfile = {}\ntls cafile = {}\n{}\n",
            files.key.display(),
            files.certificate.display(),
            files.ca.display(),
            options.own.join("\n"),
        );
        fs::write(configuration_file(folder.path()), configuration).expect("the folder can be written to");
        let mut this = Self { directory, process: None, folder };
        this.restart().await;
        if !options.ldif.is_empty() {
            this.directory.add_ldif(&options.ldif);
        }
        this
    }

    /// Stops it; its data stay, and [`Samba::restart`] starts it again on the same address.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Restarts it with the same data on the same address, whether it is running or not.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.stop();
        let mut command = Command::new(require("samba", "samba-ad-dc"));
        // In the foreground, and in one process.
        command.args(["--interactive", "--model=single", "--debug-stdout", "--debuglevel=1", "--configfile"]);
        command.arg(configuration_file(self.folder.path()));
        let process = Process::start("samba", self.folder.path(), &mut command);
        self.process = Some(process.ready(|| self.directory.answers()).await);
    }

    /// The process, to pause it or get its id.
    ///
    /// # Panics
    /// If it was stopped.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the server was stopped")
    }

    /// Adds an entry to the access list of an object, in SDDL: `(OD;;RP;ATTRIBUTE;;AO)` prevents account operators, such as the writer,
    /// from reading the attribute with that identifier.
    ///
    /// # Panics
    /// If Samba's own tool rejects it.
    pub fn set_access(&self, dn: &str, entry: &str) {
        let mut tool = Command::new(require("samba-tool", "samba-ad-dc"));
        tool.args(["dsacl", "set", "--configfile"]).arg(configuration_file(self.folder.path()));
        run(tool.arg("--URL").arg(self.database()).args(["--objectdn", dn, "--sddl", entry]));
    }

    /// Sets whether this domain controller has received everything from the others (`isSynchronized`): if not, entries that it does not
    /// show may still exist.
    ///
    /// # Panics
    /// If Samba's own library rejects it.
    pub fn set_synchronized(&self, value: bool) {
        let value = if value { "TRUE" } else { "FALSE" };
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", SET_SYNCHRONIZED]).arg(configuration_file(self.folder.path()));
        run(python.arg(self.database()).arg(value));
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("domain/private/sam.ldb")
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process().log()
    }
}

fn configuration_file(folder: &Path) -> PathBuf {
    folder.join("smb.conf")
}

/// A password in the LDIF format that Active Directory accepts: the attribute `unicodePwd`, in quotes, as UTF-16.
pub fn unicode_password(password: &str) -> String {
    let bytes: Vec<u8> = format!("\"{password}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
    format!("unicodePwd:: {}\n", STANDARD.encode(bytes))
}
