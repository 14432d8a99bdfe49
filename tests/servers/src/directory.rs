//! What a test knows about a directory server, and the changes it can make in it with OpenLDAP's command-line tools, which share no code
//! with the connector under test.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use crate::ldif::{self, Entry};
use crate::process::{require, run};

/// A DN and password that a directory accepts.
#[derive(Clone, Debug)]
pub struct Login {
    pub dn: String,
    pub password: String,
}

impl Login {
    pub(crate) fn new(dn: impl Into<String>, password: &str) -> Self {
        Self { dn: dn.into(), password: password.to_owned() }
    }
}

/// The schema of accounts and groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// `inetOrgPerson` with `uid` in the DN, `groupOfNames` with `cn` in the DN.
    Standard,
    /// `user` and `group`, with `CN` in the DN, identified by `sAMAccountName`.
    ActiveDirectory,
}

/// A running directory: its address, its content, and its logins.
#[derive(Clone, Debug)]
pub struct Directory {
    pub schema: Schema,
    /// A loopback address, the only one on which it listens.
    pub address: Ipv4Addr,
    /// Without TLS or with StartTLS.
    pub ldap_port: u16,
    /// With implicit TLS.
    pub ldaps_port: u16,
    /// The certificate of the authority that issued the server's certificate.
    pub ca: PathBuf,
    /// The DN of the root entry.
    pub suffix: String,
    /// The container of accounts.
    pub people: String,
    /// The container of groups.
    pub groups: String,
    /// Has all permissions and no limits.
    pub admin: Login,
    /// Can read and write accounts and groups, with limits. This is the login that a connector gets in practice.
    pub writer: Login,
    /// Can read accounts and groups except passwords, and cannot write.
    pub reader: Login,
}

impl Directory {
    /// `ldap://ADDRESS:PORT`
    pub fn ldap_url(&self) -> String {
        format!("ldap://{}:{}", self.address, self.ldap_port)
    }

    /// `ldaps://ADDRESS:PORT`
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://{}:{}", self.address, self.ldaps_port)
    }

    /// The DN of an account.
    pub fn account_dn(&self, name: &str) -> String {
        match self.schema {
            Schema::Standard => format!("uid={name},{}", self.people),
            Schema::ActiveDirectory => format!("CN={name},{}", self.people),
        }
    }

    /// The DN of a group.
    pub fn group_dn(&self, name: &str) -> String {
        match self.schema {
            Schema::Standard => format!("cn={name},{}", self.groups),
            Schema::ActiveDirectory => format!("CN={name},{}", self.groups),
        }
    }

    /// The attribute that identifies an account.
    pub fn account_attribute(&self) -> &'static str {
        match self.schema {
            Schema::Standard => "uid",
            Schema::ActiveDirectory => "sAMAccountName",
        }
    }

    /// An account as LDIF, without a password. Its mail is `NAME@example.com`.
    pub fn account_ldif(&self, name: &str) -> String {
        let dn = self.account_dn(name);
        match self.schema {
            Schema::Standard => format!(
                "dn: {dn}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n\
                 mail: {name}@example.com\n\n"
            ),
            // 544: a normal account that requires no password, because it has none.
            Schema::ActiveDirectory => format!(
                "dn: {dn}\nobjectClass: user\nsAMAccountName: {name}\nuserAccountControl: 544\nsn: {name}\n\
                 mail: {name}@example.com\n\n"
            ),
        }
    }

    /// Adds entries as the administrator (`ldapadd`).
    ///
    /// # Panics
    /// If the server rejects one.
    pub fn add_ldif(&self, text: &str) {
        self.change(&["-a"], text);
    }

    /// Makes changes as the administrator (`ldapmodify`): records with a `changetype`.
    ///
    /// # Panics
    /// If the server rejects one.
    pub fn modify_ldif(&self, text: &str) {
        self.change(&[], text);
    }

    fn change(&self, options: &[&str], text: &str) {
        let file = tempfile::NamedTempFile::new().expect("the temporary folder can be written to");
        std::fs::write(file.path(), text).expect("the temporary folder can be written to");
        let mut command = self.tool("ldapmodify", &self.admin);
        run(command.args(options).arg("-f").arg(file.path()));
    }

    /// Deletes an entry as the administrator.
    ///
    /// # Panics
    /// If the server rejects it, or the entry does not exist.
    pub fn delete(&self, dn: &str) {
        run(self.tool("ldapdelete", &self.admin).arg(dn));
    }

    /// Entries below `base` that match a filter, as the administrator sees them; operational attributes are included if they are named, or
    /// with `+`.
    ///
    /// # Panics
    /// If the server rejects it, or the base does not exist.
    pub fn search(&self, base: &str, filter: &str, attributes: &[&str]) -> Vec<Entry> {
        // Paged, because some servers return at most a thousand entries at a time to any user.
        let mut command = self.tool("ldapsearch", &self.admin);
        command.args(["-LLL", "-o", "ldif-wrap=no", "-E", "pr=500/noprompt", "-b", base, filter]);
        ldif::entries(&run(command.args(attributes)))
    }

    /// One entry as the administrator sees it, including operational attributes; `None` if it does not exist.
    ///
    /// # Panics
    /// If the server rejects it.
    pub fn entry(&self, dn: &str) -> Option<Entry> {
        let mut command = self.tool("ldapsearch", &self.admin);
        command.args(["-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn, "(objectClass=*)", "*", "+"]);
        let output = command.output().expect("the tool can be started");
        // 32 is noSuchObject; the tools exit with the server's result code.
        if output.status.code() == Some(32) {
            return None;
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{dn} cannot be read: {errors}");
        ldif::entries(&String::from_utf8_lossy(&output.stdout)).pop()
    }

    /// Whether the server accepts a login.
    ///
    /// # Panics
    /// If the result is neither success nor invalid credentials.
    pub fn accepts(&self, login: &Login) -> bool {
        let output = self.bind(login).output().expect("the tool can be started");
        let code = output.status.code();
        // 49 is invalidCredentials.
        assert!(matches!(code, Some(0 | 49)), "{}", String::from_utf8_lossy(&output.stderr));
        code == Some(0)
    }

    /// Whether it responds at all.
    pub(crate) fn answers(&self) -> bool {
        crate::port::listens_at(self.address, self.ldaps_port)
            && self.bind(&self.admin).output().is_ok_and(|output| output.status.success())
    }

    fn bind(&self, login: &Login) -> Command {
        let mut command = self.tool("ldapsearch", login);
        command.args(["-LLL", "-s", "base", "-b", "", "(objectClass=*)", "1.1"]);
        command
    }

    /// One of OpenLDAP's tools with its common arguments; it uses `ldaps://`, which every server accepts.
    pub fn tool(&self, name: &str, login: &Login) -> Command {
        let mut command = Command::new(require(name, "ldap-utils"));
        command.env("LDAPTLS_CACERT", &self.ca).env("LDAPTLS_REQCERT", "demand");
        command.args(["-x", "-H", &self.ldaps_url(), "-D", &login.dn, "-w", &login.password]);
        command
    }
}
