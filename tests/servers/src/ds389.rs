//! 389 Directory Server's `ns-slapd`.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::authority::{Authority, Files};
use crate::directory::{Directory, Login, Schema};
use crate::dse::Dse;
use crate::link::Link;
use crate::options::Options;
use crate::population::Layout;
use crate::port::free_port;
use crate::process::{Process, require, run};
use crate::user::{command_as, give_to, is_root};

const PACKAGE: &str = "389-ds-base";
const SUFFIX: &str = "dc=test";
const BACKEND: &str = "userRoot";

/// The user that the server runs as if the test runs as root.
const USER: &str = "dirsrv";

/// The entry of the replica, below which its replication agreement is.
const REPLICA: &str = "cn=replica,cn=dc\\3Dtest,cn=mapping tree,cn=config";
const AGREEMENT: &str = "cn=next,cn=replica,cn=dc\\3Dtest,cn=mapping tree,cn=config";

/// The user that the servers of one directory use to replicate to each other.
const REPLICATION_MANAGER: &str = "cn=replication manager,cn=config";
const REPLICATION_PASSWORD: &str = "replication-secret-1";

/// Fewer accounts than this are added while the server runs, which takes less time than the loader's second.
const LOADED_OFFLINE: usize = 200;

/// 389 Directory Server with the suffix `dc=test`, accounts below `ou=people`, groups below `ou=groups`: `cn=engineering` (a
/// `groupOfNames`) and `cn=sales` (a `groupOfUniqueNames`), both empty.
///
/// It is configured like its own installer does, but by hand: the installer requires systemd, starts the server three times and makes it
/// listen on all addresses meanwhile. The plug-ins for `memberOf` (of `member` and `uniqueMember`) and for referential integrity are
/// enabled; a password must have eight characters unless the administrator sets it. `ldap://`, StartTLS and `ldaps://` are available; the
/// operation that changes a password (RFC 3062) is rejected without TLS, as always with this server. Every operation is logged
/// ([`Ds389::log`]).
///
/// A size limit applies to each page of a search and to a search without pages. [`Options::own`] adds `attribute: value` to `cn=config`.
#[derive(Debug)]
pub struct Ds389 {
    pub directory: Directory,
    process: Option<Process>,
    folder: tempfile::TempDir,
}

impl Ds389 {
    /// Starts one with default options.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts one with options.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start_with(options: Options) -> Self {
        // Checked first, so that this is the message if anything is missing.
        require("ns-slapd", PACKAGE);
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
            admin: Login::new("cn=Directory Manager", "admin-secret-1"),
            writer: Login::new(format!("cn=writer,{SUFFIX}"), "writer-secret-1"),
            reader: Login::new(format!("cn=reader,{SUFFIX}"), "reader-secret-1"),
        };
        let mut this = Self { directory, process: None, folder };
        let root = this.folder.path().to_owned();
        for part in ["db", "ldif", "bak", "run", "lock", "log", "tmp"] {
            fs::create_dir(root.join(part)).expect("the folder can be written to");
        }
        let configuration = this.configuration_folder();
        fs::create_dir_all(configuration.join("schema")).expect("the folder can be written to");
        // The package's copies of these files are readable only by root. The server requires each of them, but no particular content.
        for (name, text) in [
            ("schema/99user.ldif", "dn: cn=schema\nobjectClass: top\n"),
            ("slapd-collations.conf", "\n"),
            ("certmap.conf", "certmap default default\n"),
        ] {
            fs::write(configuration.join(name), text).expect("the folder can be written to");
        }
        import(&files, &configuration);
        let dse = this.configuration(&options);
        fs::write(configuration.join("dse.ldif"), dse).expect("the folder can be written to");

        let offline = options.population.accounts >= LOADED_OFFLINE;
        let content = content(&this.directory, &options, offline);
        if offline {
            let file = root.join("start.ldif");
            fs::write(&file, content).expect("the folder can be written to");
            let mut load = this.command();
            load.args(["ldif2db", "-n", BACKEND, "-D"]).arg(&configuration).arg("-i").arg(&file);
            run(&mut load);
            this.restart().await;
        } else {
            this.restart().await;
            this.directory.add_ldif(&content);
        }
        this
    }

    /// Stops it; its data stay, and [`Ds389::restart`] starts it again on the same ports.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Restarts it with the same data on the same ports, whether it is running or not.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.stop();
        let mut command = self.command();
        // A debug level keeps it in the foreground; this one is its default.
        command.args(["-d", "16384", "-D"]).arg(self.configuration_folder());
        // Without a file for its process id it writes to /dev/null, and removes the write permission of other users from that.
        command.arg("-i").arg(self.folder.path().join("run/pid"));
        let process = Process::start("ns-slapd", self.folder.path(), &mut command);
        self.process = Some(process.ready(|| self.directory.answers()).await);
    }

    /// Makes it a replica that only receives changes. It has received nothing yet, and keeps its initial content until it does.
    ///
    /// # Panics
    /// If the server rejects it.
    pub fn receives(&self) {
        self.directory.add_ldif(&format!(
            "dn: {REPLICATION_MANAGER}\nobjectClass: person\ncn: replication manager\nsn: manager\n\
             userPassword: {REPLICATION_PASSWORD}\n\n{}",
            replica(65535, 2, 0)
        ));
    }

    /// Makes it replicate its content to a replica at the other end of a link: first everything that it has, then all changes.
    ///
    /// # Panics
    /// If the server rejects it.
    pub fn hands_on_through(&self, link: &Link) {
        self.directory.add_ldif(&replica(1, 3, 1));
        self.directory.add_ldif(&format!(
            "dn: {AGREEMENT}\nobjectClass: nsDS5ReplicationAgreement\ncn: next\nnsDS5ReplicaHost: localhost\n\
             nsDS5ReplicaPort: {}\nnsDS5ReplicaTransportInfo: LDAP\nnsDS5ReplicaBindDN: {REPLICATION_MANAGER}\n\
             nsDS5ReplicaBindMethod: SIMPLE\nnsDS5ReplicaCredentials: {REPLICATION_PASSWORD}\n\
             nsDS5ReplicaRoot: {SUFFIX}\nnsds5BeginReplicaRefresh: start\n",
            link.port
        ));
    }

    /// Replicates all of its content again.
    ///
    /// # Panics
    /// If the server rejects it.
    pub fn hands_on_again(&self) {
        self.directory.modify_ldif(&format!(
            "dn: {AGREEMENT}\nchangetype: modify\nreplace: nsds5BeginReplicaRefresh\nnsds5BeginReplicaRefresh: start\n"
        ));
    }

    /// The process, to pause it or get its id.
    ///
    /// # Panics
    /// If it was stopped.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the server was stopped")
    }

    /// Its log so far: who did what, with which filter, but no values.
    pub fn log(&self) -> String {
        let access = fs::read_to_string(self.folder.path().join("log/access")).unwrap_or_default();
        format!("{}{access}", self.process().log())
    }

    /// The server's program, run as a user that may run it and that owns the folder.
    fn command(&self) -> Command {
        give_to(USER, self.folder.path());
        command_as(USER, &require("ns-slapd", PACKAGE))
    }

    /// The name of this folder is also the server's name, which distinguishes its shared memory from that of other servers.
    fn configuration_folder(&self) -> PathBuf {
        self.folder.path().join(format!("slapd-{}", self.directory.ldap_port))
    }

    fn configuration(&self, options: &Options) -> String {
        let root = self.folder.path().display().to_string();
        let configuration = self.configuration_folder().display().to_string();
        let user = if is_root() { USER.to_owned() } else { run(Command::new("id").arg("-un")) };
        let admin = &self.directory.admin;
        let hash = run(Command::new(require("pwdhash", PACKAGE)).args(["-s", "SSHA512", &admin.password]));
        let template = fs::read_to_string("/usr/share/dirsrv/data/template-dse.ldif");
        let mut dse = Dse::new(&template.expect("package 389-ds-base has brought its template"));
        for (name, value) in [
            ("schema_dir", format!("{configuration}/schema")),
            ("lock_dir", format!("{root}/lock")),
            ("tmp_dir", format!("{root}/tmp")),
            ("cert_dir", configuration.clone()),
            ("ldif_dir", format!("{root}/ldif")),
            ("bak_dir", format!("{root}/bak")),
            ("run_dir", format!("{root}/run")),
            ("inst_dir", root.clone()),
            ("log_dir", format!("{root}/log")),
            ("config_dir", configuration.clone()),
            ("db_dir", format!("{root}/db")),
            ("db_home_dir", format!("{root}/db")),
            ("db_lib", "bdb".to_owned()),
            ("fqdn", "localhost".to_owned()),
            ("ds_port", self.directory.ldap_port.to_string()),
            ("ds_user", user.trim().to_owned()),
            ("rootdn", admin.dn.clone()),
            ("ds_passwd", hash.trim().to_owned()),
            ("ds_suffix", SUFFIX.to_owned()),
            ("ldapi_enabled", "off".to_owned()),
            ("ldapi", format!("{root}/run/ldapi")),
            ("ldapi_autobind", "off".to_owned()),
        ] {
            dse.fill(name, &value);
        }
        let limit = options.size_limit.map_or_else(|| "-1".to_owned(), |entries| entries.to_string());
        for (attribute, value) in [
            ("nsslapd-listenhost", "127.0.0.1"),
            ("nsslapd-securelistenhost", "127.0.0.1"),
            ("nsslapd-secureport", &self.directory.ldaps_port.to_string()),
            ("nsslapd-security", "on"),
            ("nsslapd-require-secure-binds", if options.require_tls { "on" } else { "off" }),
            // The default is 2,000 entries.
            ("nsslapd-sizelimit", &limit),
            ("nsslapd-pagedsizelimit", &limit),
            ("nsslapd-accesslog-logbuffering", "off"),
            // The default scheme takes most of a second for every bind, and the passwords of tests need no protection.
            ("passwordStorageScheme", "SSHA512"),
            ("passwordCheckSyntax", "on"),
            ("passwordMinLength", "8"),
        ] {
            dse.set("cn=config", attribute, value);
        }
        for line in &options.own {
            let (attribute, value) = line.split_once(':').expect("a line reads `attribute: value`");
            dse.set("cn=config", attribute, value.trim());
        }
        let database = "cn=config,cn=ldbm database,cn=plugins,cn=config";
        for (attribute, value) in [
            // By default this is a share of the machine's memory, which a new server writes out.
            ("nsslapd-cache-autosize", "0"),
            ("nsslapd-dbcachesize", "10000000"),
            // The default is 5,000 entries.
            ("nsslapd-lookthroughlimit", "-1"),
            // These data need not survive a power failure.
            ("nsslapd-db-durable-transaction", "off"),
        ] {
            dse.set(database, attribute, value);
        }
        let member_of = "cn=MemberOf Plugin,cn=plugins,cn=config";
        dse.set(member_of, "nsslapd-pluginenabled", "on");
        dse.add(member_of, "memberOfGroupAttr", "uniqueMember");
        dse.add(member_of, "memberOfAutoAddOC", "nsMemberOf");
        dse.set("cn=referential integrity postoperation,cn=plugins,cn=config", "nsslapd-pluginenabled", "on");
        if !options.unique.is_empty() {
            let unique = "cn=attribute uniqueness,cn=plugins,cn=config";
            dse.set(unique, "nsslapd-pluginenabled", "on");
            dse.remove(unique, "uniqueness-attribute-name");
            options
                .unique
                .iter()
                .for_each(|attribute| dse.add(unique, "uniqueness-attribute-name", attribute));
        }
        dse.entry(
            &format!("cn={BACKEND},cn=ldbm database,cn=plugins,cn=config"),
            &["extensibleObject", "nsBackendInstance"],
            &[
                ("cn", BACKEND),
                ("nsslapd-suffix", SUFFIX),
                // It would be half a megabyte otherwise, because autosizing is off.
                ("nsslapd-cachememsize", "100000000"),
                // The loader does not know it before the server's first start.
                ("nsslapd-directory", &format!("{root}/db/{BACKEND}")),
            ],
        );
        dse.entry(
            "cn=dc\\3Dtest,cn=mapping tree,cn=config",
            &["extensibleObject", "nsMappingTree"],
            &[("cn", SUFFIX), ("nsslapd-state", "backend"), ("nsslapd-backend", BACKEND)],
        );
        dse.text()
    }
}

/// The entry that makes the directory replicate: its number, its type (2 receives changes, 3 sends them as well), and whether it keeps a
/// changelog.
fn replica(number: u32, kind: u32, flags: u32) -> String {
    format!(
        "dn: {REPLICA}\nobjectClass: nsDS5Replica\nobjectClass: extensibleObject\ncn: replica\nnsDS5ReplicaRoot: {SUFFIX}\n\
         nsDS5ReplicaId: {number}\nnsDS5ReplicaType: {kind}\nnsDS5Flags: {flags}\n\
         nsDS5ReplicaBindDN: {REPLICATION_MANAGER}\n"
    )
}

/// Imports the server's certificate and its authority's into a database of Mozilla's NSS, the only format that this server reads.
fn import(files: &Files, configuration: &Path) {
    let bundle = configuration.join("server.p12");
    let mut pack = Command::new(require("openssl", "openssl"));
    pack.args(["pkcs12", "-export", "-name", "Server-Cert", "-passout", "pass:once", "-in"]);
    run(pack.arg(&files.certificate).arg("-inkey").arg(&files.key).arg("-out").arg(&bundle));
    let database = format!("sql:{}", configuration.display());
    let certutil = || Command::new(require("certutil", "libnss3-tools"));
    run(certutil().args(["-N", "--empty-password", "-d", &database]));
    run(certutil().args(["-A", "-n", "authority", "-t", "CT,,", "-d", &database, "-i"]).arg(&files.ca));
    let mut unpack = Command::new(require("pk12util", "libnss3-tools"));
    run(unpack.args(["-W", "once", "-K", "", "-d", &database, "-i"]).arg(&bundle));
}

fn content(directory: &Directory, options: &Options, offline: bool) -> String {
    let Directory { people, groups, writer, reader, .. } = directory;
    let aci = |name: &str, rights: &str, dn: &str| {
        format!(
            "aci: (targetattr != \"userPassword || aci\")(version 3.0; acl \"{name}\"; allow ({rights}) \
             userdn = \"ldap:///{dn}\";)\n"
        )
    };
    let mut text = format!(
        "dn: {SUFFIX}\nobjectClass: domain\ndc: test\n{}{}\
         aci: (targetattr = \"userPassword\")(version 3.0; acl \"passwords\"; allow (write, add, delete) \
         userdn = \"ldap:///{}\";)\n\
         aci: (targetattr = \"userPassword\")(version 3.0; acl \"own password\"; allow (write) \
         userdn = \"ldap:///self\";)\n\n\
         dn: {people}\nobjectClass: organizationalUnit\nou: people\n\n\
         dn: {groups}\nobjectClass: organizationalUnit\nou: groups\n\n\
         dn: cn=engineering,{groups}\nobjectClass: groupOfNames\ncn: engineering\ndescription: Engineering\n\n\
         dn: cn=sales,{groups}\nobjectClass: groupOfUniqueNames\ncn: sales\ndescription: Sales\n\n",
        aci("reader", "read, search, compare", &reader.dn),
        aci("writer", "all", &writer.dn),
        writer.dn,
    );
    for (login, name) in [(writer, "writer"), (reader, "reader")] {
        text += &format!(
            "dn: {}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: {name}\n\
             userPassword: {}\n\n",
            login.dn, login.password
        );
    }
    let further_class = offline.then_some("nsMemberOf");
    let layout = Layout { people, groups, placeholder: None, member_of: offline, further_class };
    text + &options.ldif + &options.population.ldif(&layout)
}
