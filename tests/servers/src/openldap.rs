//! OpenLDAP's `slapd`.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use crate::authority::{Authority, Files};
use crate::directory::{Directory, Login, Schema};
use crate::options::{Content, Options};
use crate::population::Layout;
use crate::port::free_port;
use crate::process::{Process, require, run};

const SUFFIX: &str = "dc=test";
const PLACEHOLDER: &str = "cn=placeholder,dc=test";

/// OpenLDAP with the suffix `dc=test`, accounts below `ou=people`, groups below `ou=groups`: `cn=engineering` (a `groupOfNames`) and
/// `cn=sales` (a `groupOfUniqueNames`), whose only member is `cn=placeholder,dc=test`, because neither class may be empty.
///
/// The overlays `memberof` (for `member`), `refint` and `ppolicy` are enabled. The password policy locks an account with
/// `pwdAccountLockedTime`, and requires eight characters unless the administrator sets the password. Attributes that a connector searches
/// for are indexed. `ldap://`, StartTLS and `ldaps://` are available. Every operation is logged ([`OpenLdap::log`]).
///
/// A size limit applies to all pages of a search together. [`Options::own`] adds a line to the database section of `slapd.conf`, after its
/// overlays, where global directives such as `idletimeout 1` are allowed too; access rules (`access to …`) go before those that give the
/// writer all permissions.
#[derive(Debug)]
pub struct OpenLdap {
    pub directory: Directory,
    process: Option<Process>,
    folder: tempfile::TempDir,
}

impl OpenLdap {
    /// Starts one with default options.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts one with options. A population of 10,000 accounts takes about a second, because it is loaded before the start.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start_with(options: Options) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder can be written to");
        let authority = Authority::new();
        let names = options.names("127.0.0.1");
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let files = authority.issue(&names).write_to(folder.path(), &authority);
        let directory = Directory {
            schema: Schema::Standard,
            address: Ipv4Addr::LOCALHOST,
            ldap_port: free_port(),
            ldaps_port: free_port(),
            ca: files.ca.clone(),
            suffix: SUFFIX.to_owned(),
            people: format!("ou=people,{SUFFIX}"),
            groups: format!("ou=groups,{SUFFIX}"),
            admin: Login::new(format!("cn=admin,{SUFFIX}"), "admin-secret-1"),
            writer: Login::new(format!("cn=writer,{SUFFIX}"), "writer-secret-1"),
            reader: Login::new(format!("cn=reader,{SUFFIX}"), "reader-secret-1"),
        };
        let configuration = folder.path().join("slapd.conf");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("the folder can be written to");
        let text = configuration_of(&directory, &options, &data, &files);
        fs::write(&configuration, text).expect("the folder can be written to");
        let ldif = folder.path().join("start.ldif");
        let text = match &options.content {
            Content::Copied(text) => text.clone(),
            Content::Usual | Content::OfServer(_) => content(&directory, &options),
        };
        fs::write(&ldif, text).expect("the folder can be written to");
        let mut load = Command::new(require("slapadd", "slapd"));
        if let Content::OfServer(number) = options.content {
            load.args(["-w", "-S", &number.to_string()]);
        }
        run(load.arg("-q").arg("-f").arg(&configuration).arg("-l").arg(&ldif));
        let mut server = Self { directory, process: None, folder };
        server.restart().await;
        server
    }

    /// Stops it; its data stay, and [`OpenLdap::restart`] starts it again on the same ports.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Restarts it with the same data on the same ports, whether it is running or not.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.stop();
        let mut command = Command::new(require("slapd", "slapd"));
        command.arg("-f").arg(self.folder.path().join("slapd.conf"));
        // A debug level keeps it in the foreground; this one logs operations, one line each.
        command.args(["-d", "stats", "-h"]);
        command.arg(format!("{} {}", self.directory.ldap_url(), self.directory.ldaps_url()));
        let process = Process::start("slapd", self.folder.path(), &mut command);
        self.process = Some(process.ready(|| self.directory.answers()).await);
    }

    /// The process, to pause it or get its id.
    ///
    /// # Panics
    /// If it was stopped.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the server was stopped")
    }

    /// Its entire content, as LDIF that another server can load.
    pub(crate) fn content(&self) -> String {
        let mut dump = Command::new(require("slapcat", "slapd"));
        run(dump.arg("-f").arg(self.folder.path().join("slapd.conf")))
    }

    /// Its log so far: who did what, with which filter, but no values.
    pub fn log(&self) -> String {
        self.process().log()
    }
}

fn configuration_of(directory: &Directory, options: &Options, data: &Path, files: &Files) -> String {
    let Directory { admin, writer, reader, people, .. } = directory;
    let mut text = String::new();
    for schema in ["core", "cosine", "inetorgperson", "nis"] {
        text += &format!("include /etc/ldap/schema/{schema}.schema\n");
    }
    text += "modulepath /usr/lib/ldap\n";
    for module in ["back_mdb", "memberof", "refint", "ppolicy", "unique"] {
        text += &format!("moduleload {module}\n");
    }
    text += &format!(
        "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\nTLSVerifyClient never\n",
        files.ca.display(),
        files.certificate.display(),
        files.key.display(),
    );
    if options.require_tls {
        text += "security simple_bind=128\n";
    }
    let size_limit = options.size_limit.map_or_else(|| "unlimited".to_owned(), |entries| entries.to_string());
    // `envflags nosync`: these data need not survive a power failure.
    let (access, own): (Vec<_>, Vec<_>) = options.own.iter().partition(|line| line.starts_with("access "));
    let access = access.into_iter().fold(String::new(), |rules, line| rules + line + "\n");
    let own: Vec<_> = own.into_iter().map(String::as_str).collect();
    text += &format!(
        r#"
database mdb
maxsize 1073741824
envflags nosync
suffix {SUFFIX}
directory {data}
rootdn {admin}
rootpw {admin_password}
index objectClass,uid,mail,cn,entryUUID,member,uniqueMember,memberOf eq
sizelimit {size_limit}
{access}access to attrs=userPassword by dn.exact="{writer}" manage by self =xw by anonymous auth by * none
access to * by dn.exact="{writer}" manage by dn.exact="{reader}" read by self read by * none
overlay memberof
memberof-refint TRUE
overlay refint
refint_attributes uniqueMember manager owner
refint_nothing {PLACEHOLDER}
overlay ppolicy
ppolicy_default cn=default,ou=policies,{SUFFIX}
ppolicy_hash_cleartext
"#,
        data = data.display(),
        admin = admin.dn,
        admin_password = admin.password,
        writer = writer.dn,
        reader = reader.dn,
    );
    if !options.unique.is_empty() {
        text += "overlay unique\n";
    }
    for attribute in &options.unique {
        text += &format!("unique_uri ldap:///{people}?{attribute}?sub\n");
    }
    text + &own.join("\n") + "\n"
}

fn content(directory: &Directory, options: &Options) -> String {
    let Directory { people, groups, writer, reader, .. } = directory;
    let mut text = format!(
        "dn: {SUFFIX}\nobjectClass: domain\ndc: test\n\n\
         dn: {people}\nobjectClass: organizationalUnit\nou: people\n\n\
         dn: {groups}\nobjectClass: organizationalUnit\nou: groups\n\n\
         dn: ou=policies,{SUFFIX}\nobjectClass: organizationalUnit\nou: policies\n\n\
         dn: {PLACEHOLDER}\nobjectClass: organizationalRole\ncn: placeholder\n\n\
         dn: cn=default,ou=policies,{SUFFIX}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: default\n\
         pwdAttribute: userPassword\npwdLockout: TRUE\npwdMinLength: 8\npwdCheckQuality: 2\n\n\
         dn: cn=engineering,{groups}\nobjectClass: groupOfNames\ncn: engineering\ndescription: Engineering\n\
         member: {PLACEHOLDER}\n\n\
         dn: cn=sales,{groups}\nobjectClass: groupOfUniqueNames\ncn: sales\ndescription: Sales\n\
         uniqueMember: {PLACEHOLDER}\n\n"
    );
    for (login, name) in [(writer, "writer"), (reader, "reader")] {
        text += &format!(
            "dn: {}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: {name}\n\
             userPassword: {}\n\n",
            login.dn, login.password
        );
    }
    // The loader bypasses the overlay.
    let layout =
        Layout { people, groups, placeholder: Some(PLACEHOLDER), member_of: true, further_class: None };
    text + &options.ldif + &options.population.ldif(&layout)
}
