//! OpenLDAP's `slapd`.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use crate::authority::{Authority, Files};
use crate::directory::{Directory, Login};
use crate::population::Population;
use crate::port::free_port;
use crate::process::{Process, require, run};

const SUFFIX: &str = "dc=test";

/// OpenLDAP with the suffix `dc=test`, accounts below `ou=people`, groups below `ou=groups`: `cn=engineering` (a
/// `groupOfNames`) and `cn=sales` (a `groupOfUniqueNames`), whose only member is `cn=placeholder,dc=test`, since neither class
/// may be empty.
///
/// The overlays `memberof` (for `member`), `refint` and `ppolicy` are at work. The password policy locks an account that has
/// `pwdAccountLockedTime`, and wants eight characters of everybody but the administrator. Attributes that a connector looks
/// for are indexed. `ldap://`, StartTLS and `ldaps://` are offered, with a certificate for `localhost` and `127.0.0.1`.
/// Every operation is logged ([`OpenLdap::log`]).
#[derive(Debug)]
pub struct OpenLdap {
    pub directory: Directory,
    process: Option<Process>,
    folder: tempfile::TempDir,
}

/// Options of an OpenLDAP server.
#[derive(Debug, Default)]
pub struct Builder {
    population: Population,
    global: Vec<String>,
    database: Vec<String>,
    names: Option<Vec<String>>,
    ldif: String,
}

impl OpenLdap {
    /// Starts one as it comes.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Starts one with options.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Ends it; its data stay, and [`OpenLdap::restart`] brings it back at the same ports.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Ends it if it runs, and starts it again with the same data at the same ports.
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

    /// The process, to pause it or to ask for its id.
    ///
    /// # Panics
    /// If it was stopped.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the server was stopped")
    }

    /// What it has logged so far: who did what, with which filter and controls, but no values.
    pub fn log(&self) -> String {
        self.process().log()
    }
}

impl Builder {
    /// Fills the directory, before it starts; 10,000 accounts take about a second.
    pub fn population(mut self, population: Population) -> Self {
        self.population = population;
        self
    }

    /// Further entries, loaded before it starts.
    pub fn ldif(mut self, text: &str) -> Self {
        self.ldif = format!("{}{text}\n", self.ldif);
        self
    }

    /// How many entries a search gives to anybody but the administrator, over all its pages; the rest is
    /// `sizeLimitExceeded` (4).
    pub fn size_limit(self, entries: usize) -> Self {
        self.database_directive(&format!("sizelimit {entries}"))
    }

    /// Refuses a bind without TLS: `confidentialityRequired` (13).
    pub fn require_tls(self) -> Self {
        self.directive("security simple_bind=128")
    }

    /// No two accounts may have the same value of one of these attributes: `constraintViolation` (19).
    pub fn unique(self, attributes: &[&str]) -> Self {
        let mut lines = vec!["overlay unique".to_owned()];
        lines.extend(
            attributes
                .iter()
                .map(|attribute| format!("unique_uri ldap:///ou=people,{SUFFIX}?{attribute}?sub")),
        );
        self.database_directive(&lines.join("\n"))
    }

    /// Names the certificate is issued for, in place of `localhost` and `127.0.0.1`.
    ///
    /// This server is asked at `127.0.0.1`, with its certificate checked, while it starts: keep that name among them.
    pub fn certificate_names(mut self, names: &[&str]) -> Self {
        self.names = Some(names.iter().map(ToString::to_string).collect());
        self
    }

    /// A line of `slapd.conf` that stands before any database (`man slapd.conf`).
    pub fn directive(mut self, line: &str) -> Self {
        self.global.push(line.to_owned());
        self
    }

    /// A line of `slapd.conf` for the database, after its overlays (`man slapd.conf`, `man slapd-mdb`).
    pub fn database_directive(mut self, line: &str) -> Self {
        self.database.push(line.to_owned());
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start(self) -> OpenLdap {
        let folder = tempfile::tempdir().expect("the temporary folder can be written to");
        let authority = Authority::new();
        let names =
            self.names.clone().unwrap_or_else(|| vec!["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let files = authority.issue(&names).write_to(folder.path(), &authority);
        let directory = Directory {
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
        let text = self.configuration(&directory, &data, &files);
        fs::write(&configuration, text).expect("the folder can be written to");
        let ldif = folder.path().join("start.ldif");
        fs::write(&ldif, self.content(&directory)).expect("the folder can be written to");
        let mut load = Command::new(require("slapadd", "slapd"));
        run(load.arg("-q").arg("-f").arg(&configuration).arg("-l").arg(&ldif));
        let mut server = OpenLdap { directory, process: None, folder };
        server.restart().await;
        server
    }

    fn configuration(&self, directory: &Directory, data: &Path, files: &Files) -> String {
        let Directory { admin, writer, reader, .. } = directory;
        let mut text = String::new();
        for schema in ["core", "cosine", "inetorgperson", "nis"] {
            text += &format!("include /etc/ldap/schema/{schema}.schema\n");
        }
        text.push_str("modulepath /usr/lib/ldap\n");
        for module in ["back_mdb", "memberof", "refint", "ppolicy", "unique"] {
            text += &format!("moduleload {module}\n");
        }
        text += &format!(
            "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\nTLSVerifyClient never\n{}\n",
            files.ca.display(),
            files.certificate.display(),
            files.key.display(),
            self.global.join("\n"),
        );
        // `envflags nosync`: nobody needs these data after a power cut.
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
sizelimit unlimited
access to attrs=userPassword by dn.exact="{writer}" manage by self =xw by anonymous auth by * none
access to * by dn.exact="{writer}" manage by dn.exact="{reader}" read by self read by * none
overlay memberof
memberof-refint TRUE
overlay refint
refint_attributes uniqueMember manager owner
refint_nothing cn=placeholder,{SUFFIX}
overlay ppolicy
ppolicy_default cn=default,ou=policies,{SUFFIX}
ppolicy_hash_cleartext
{further}
"#,
            data = data.display(),
            admin = admin.dn,
            admin_password = admin.password,
            writer = writer.dn,
            reader = reader.dn,
            further = self.database.join("\n"),
        );
        text
    }

    fn content(&self, directory: &Directory) -> String {
        let Directory { people, groups, writer, reader, .. } = directory;
        let placeholder = format!("cn=placeholder,{SUFFIX}");
        let mut text = format!(
            "dn: {SUFFIX}\nobjectClass: domain\ndc: test\n\n\
             dn: {people}\nobjectClass: organizationalUnit\nou: people\n\n\
             dn: {groups}\nobjectClass: organizationalUnit\nou: groups\n\n\
             dn: ou=policies,{SUFFIX}\nobjectClass: organizationalUnit\nou: policies\n\n\
             dn: {placeholder}\nobjectClass: organizationalRole\ncn: placeholder\n\n\
             dn: cn=default,ou=policies,{SUFFIX}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: default\n\
             pwdAttribute: userPassword\npwdLockout: TRUE\npwdMinLength: 8\npwdCheckQuality: 2\n\n\
             dn: cn=engineering,{groups}\nobjectClass: groupOfNames\ncn: engineering\ndescription: Engineering\n\
             member: {placeholder}\n\n\
             dn: cn=sales,{groups}\nobjectClass: groupOfUniqueNames\ncn: sales\ndescription: Sales\n\
             uniqueMember: {placeholder}\n\n"
        );
        for (login, name) in [(writer, "writer"), (reader, "reader")] {
            text += &format!(
                "dn: {}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: {name}\n\
                 userPassword: {}\n\n",
                login.dn, login.password
            );
        }
        text.push_str(&self.ldif);
        text.push('\n');
        text.push_str(&self.population.ldif(people, groups, Some(&placeholder), true));
        text
    }
}
