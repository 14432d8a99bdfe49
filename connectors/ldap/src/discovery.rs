//! What `bridgehead init` finds out about a directory: which server it is, where accounts and groups are, which attributes they have, and
//! whether a lock is effective.

use std::sync::Arc;

use bridgehead_sdk::{
    Discovered, Discovery, Draft, Error, ExposeSecret as _, Question, Section, SettingsError, async_trait,
};
use serde_json::{Map, Value, json};
use url::Url;

use crate::directory::Directory;
use crate::endpoint::{Endpoint, is_loopback};
use crate::lock;
use crate::name::Name;
use crate::readiness::one;
use crate::report::{About, Reporter};
use crate::schema::Schema;
use crate::session::{Search, Session};
use crate::settings::{Profile, Settings};
use crate::survey::{self, Groups, People};
use crate::suspension::LOCKED_TIME;

const URL: &str = "url";
const TLS: &str = "start_tls";
const BIND_DN: &str = "bind_dn";
const PASSWORD: &str = "bind_password";
const BASE: &str = "base";
/// The capability that Active Directory and Samba report.
const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";
/// Internal parts of a server.
const OWN: [&str; 7] =
    ["cn=config", "cn=schema", "cn=monitor", "cn=changelog", "cn=accesslog", "o=ipaca", "o=netscaperoot"];

/// Inspects a directory for `bridgehead init`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look;

#[async_trait]
impl Discovery for Look {
    fn questions(&self) -> Vec<Question> {
        vec![
            Question::text(URL, "The URL of the server, such as ldaps://ldap.example.com"),
            encryption(),
            Question::text(
                BIND_DN,
                "The bind DN: a distinguished name such as cn=bridgehead,dc=example,dc=com, or user@domain",
            ),
            Question::secret(PASSWORD, "The bind password"),
            Question::text(BASE, "The base DN").later(),
        ]
    }

    async fn discover(&self, draft: &Draft) -> Result<Discovered, Error> {
        let url = draft.text(URL).unwrap_or_default();
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "ldap" | "ldaps"));
        let parsed = parsed.ok_or_else(|| Error::internal("url: must look like ldaps://ldap.example.com"))?;
        if parsed.scheme() == "ldap" && !is_loopback(&parsed) && !draft.has(TLS) {
            return Ok(Discovered::ask([encryption()]));
        }
        let connected = Connected::open(draft).await?;
        let server = connected.server().await?;
        let Some(base) = draft.text(BASE) else {
            let mut question = Question::text(BASE, "The base DN");
            question.default = server.contexts.first().cloned();
            let mut discovered = Discovered::ask([question]).with_seen(server.seen());
            if server.contexts.len() > 1 {
                discovered =
                    discovered.with_seen(format!("the naming contexts {}", server.contexts.join("; ")));
            }
            return Ok(discovered);
        };
        connected.base_is_there(base).await?;
        let people = survey::people(&connected.session, base, server.profile).await;
        let people =
            people.map_err(|failure| connected.reporter.report(failure, About::Reading("accounts")))?;
        let groups = survey::groups(&connected.session, base, server.profile).await;
        let groups =
            groups.map_err(|failure| connected.reporter.report(failure, About::Reading("groups")))?;
        let schema = connected.schema(&server).await;
        describe(draft, base, &server, people.as_ref(), &groups, &schema).await
    }
}

fn encryption() -> Question {
    let choices = [("yes", "encrypted with StartTLS"), ("no", "passwords cross the network in plain text")];
    Question::text(TLS, "Encrypt the connection to ldap://").with_choices(choices).with_default("yes").later()
}

/// What a server reports about itself.
struct Server {
    profile: Profile,
    /// Its product name.
    name: String,
    is_known: bool,
    /// The bases of its data, the most likely first.
    contexts: Vec<String>,
    schema: Option<String>,
}

impl Server {
    fn seen(&self) -> String {
        if self.is_known { self.name.clone() } else { format!("{} (treated like OpenLDAP)", self.name) }
    }
}

/// A connection without a known base.
struct Connected {
    session: Session,
    reporter: Reporter,
}

impl Connected {
    async fn open(draft: &Draft) -> Result<Self, Error> {
        let setup = &draft.setup;
        let is_name = draft.text(BIND_DN).is_some_and(|dn| Name::parse(dn).is_ok());
        let mut target = access(draft);
        // No settings exist and no part of the directory is known, so settings that depend on it are left out.
        target.insert("profile".into(), if is_name { "openldap" } else { "ad" }.into());
        target.insert("base".into(), "".into());
        target.insert("replica".into(), false.into());
        target.insert("read_only".into(), true.into());
        let settings = settings(draft, target)?;
        let endpoint = Endpoint::new(&settings, &setup.app, &setup.network).map_err(|error| wrong(&error))?;
        let endpoint = Arc::new(endpoint);
        let reporter = Reporter {
            system: setup.app.clone(),
            url: endpoint.servers.named(),
            bind_dn: endpoint.identity.label().to_owned(),
            profile: settings.profile,
            redactor: setup.redactor.clone(),
        };
        match Session::open(&endpoint).await {
            Ok(session) => Ok(Self { session, reporter }),
            Err(failure) => Err(reporter.report(failure, About::Reading("the root DSE"))),
        }
    }

    async fn server(&self) -> Result<Server, Error> {
        let attributes = [
            "namingContexts",
            "defaultNamingContext",
            "vendorName",
            "vendorVersion",
            "supportedCapabilities",
            "objectClass",
            "subschemaSubentry",
        ];
        let found = self.session.search(&one("", &attributes)).await;
        let found = found.map_err(|failure| self.reporter.report(failure, About::Reading("the root DSE")))?;
        let texts = |attribute: &str| -> Vec<String> {
            let entry = found.first().into_iter();
            entry.flat_map(|entry| entry.texts(attribute).flatten()).map(str::to_owned).collect()
        };
        let vendor = [texts("vendorName"), texts("vendorVersion")].concat().join(" ");
        let is_openldap =
            texts("objectClass").iter().any(|class| class.eq_ignore_ascii_case("OpenLDAProotDSE"));
        let (profile, name, is_known) =
            if texts("supportedCapabilities").iter().any(|oid| oid == ACTIVE_DIRECTORY) {
                let name = if vendor.contains("Samba") { vendor } else { "Active Directory".to_owned() };
                (Profile::ActiveDirectory, name, true)
            } else if vendor.contains("389") {
                (Profile::Ds389, vendor, true)
            } else if is_openldap {
                (Profile::OpenLdap, "OpenLDAP".to_owned(), true)
            } else {
                let name = if vendor.is_empty() { "an unknown server".to_owned() } else { vendor };
                (Profile::OpenLdap, name, false)
            };
        let mut contexts = texts("defaultNamingContext");
        for context in texts("namingContexts") {
            let lower = context.to_lowercase();
            let is_own = OWN.iter().any(|own| lower == *own)
                || (profile == Profile::ActiveDirectory && !lower.starts_with("dc="))
                || lower.starts_with("dc=domaindnszones")
                || lower.starts_with("dc=forestdnszones");
            if !is_own && !contexts.iter().any(|known| known.eq_ignore_ascii_case(&context)) {
                contexts.push(context);
            }
        }
        let schema = texts("subschemaSubentry").into_iter().next();
        Ok(Server { profile, name, is_known, contexts, schema })
    }

    async fn base_is_there(&self, base: &str) -> Result<(), Error> {
        let shown = self.session.search(&one(base, &["1.1"])).await;
        match shown {
            Ok(found) if !found.is_empty() => Ok(()),
            Err(failure) if failure.code().is_none() => {
                Err(self.reporter.report(failure, About::Reading(BASE)))
            }
            _ => Err(Error::internal(format!(
                "base: {base} does not exist, or {} may not read it; choose another base, or grant the right to read it",
                self.reporter.bind_dn
            ))),
        }
    }

    /// The attributes that the server knows; empty if it does not show them.
    async fn schema(&self, server: &Server) -> Schema {
        let Some(place) = &server.schema else { return Schema::default() };
        let search = Search { filter: "(objectClass=subschema)", ..one(place, &["attributeTypes"]) };
        let found = self.session.search(&search).await.unwrap_or_default();
        found.first().map(Schema::read).unwrap_or_default()
    }
}

/// The settings for reaching the server.
fn access(draft: &Draft) -> Map<String, Value> {
    let mut target = Map::new();
    for key in [URL, BIND_DN] {
        target.insert(key.to_owned(), draft.text(key).into());
    }
    match draft.text(TLS) {
        Some("yes") => drop(target.insert(TLS.to_owned(), true.into())),
        Some("no") => drop(target.insert("allow_plain_text".to_owned(), true.into())),
        _ => {}
    }
    target
}

/// The settings, including the password.
fn settings(draft: &Draft, mut target: Map<String, Value>) -> Result<Settings, Error> {
    let password = draft.secret(PASSWORD).map(|secret| secret.expose_secret().to_owned());
    target.insert(PASSWORD.to_owned(), password.into());
    let setup = draft.setup_with(target);
    setup.settings().map_err(|error| wrong(&error))
}

fn wrong(error: &SettingsError) -> Error {
    Error::internal(error.to_string())
}

fn name_of(profile: Profile) -> &'static str {
    match profile {
        Profile::OpenLdap => "openldap",
        Profile::Ds389 => "389ds",
        Profile::ActiveDirectory => "ad",
    }
}

async fn describe(
    draft: &Draft,
    base: &str,
    server: &Server,
    people: Option<&People>,
    groups: &Groups,
    schema: &Schema,
) -> Result<Discovered, Error> {
    let mut root = Section::root()
        .with("profile", name_of(server.profile), format!("{}, according to its root DSE", server.name))
        .with(URL, draft.text(URL), "");
    for (key, value) in access(draft).into_iter().filter(|(key, _)| key != URL && key != BIND_DN) {
        root = root.with(key, value, "");
    }
    root = root
        .with(BIND_DN, draft.text(BIND_DN), "")
        .with(PASSWORD, draft.reference(PASSWORD).unwrap_or_default(), "")
        .with(BASE, base, "a naming context of the server, or below one")
        .with(
            "read_only",
            Value::Null,
            "To only read the directory until tasks may change it: read_only = true",
        );
    let mut found = Discovered::default();
    if !server.is_known {
        found = found
            .with_warning("the kind of server is unknown; set profile to \"openldap\", \"389ds\" or \"ad\"");
    }
    if let Some(url) = draft.text(URL).filter(|_| server.profile == Profile::Ds389 && !is_encrypted(draft)) {
        found = found.with_warning(format!(
            "389 Directory Server only sets passwords over TLS; {url} is not encrypted"
        ));
    }
    let mut sections = Vec::new();
    match people {
        Some(people) => {
            found = found.with_seen(people.seen());
            found.warnings.extend(people.warnings(server.profile));
            sections.extend(people.sections(base, server.profile));
        }
        None => {
            found = found.with_warning(format!(
                "no people were found below {base}; set accounts.base and accounts.filter"
            ));
        }
    }
    found = found.with_seen(groups.seen());
    let (key, of_groups) = groups.sections(base, server.profile);
    if let Some(none) = key {
        root.settings.push(none);
    }
    sections.extend(of_groups);
    sections.insert(0, root);
    if server.profile == Profile::OpenLdap {
        match lock_fault(draft, &sections, schema).await? {
            None => {
                let method = Section::table("suspend").with(
                    "method",
                    LOCKED_TIME,
                    "the server's password policy rejects accounts that have it",
                );
                sections.push(method);
                found = found.with_seen("a password policy that rejects locked accounts");
            }
            Some(why) => {
                sections.push(Section::table("suspend").with(
                    "method",
                    "none",
                    "suspending is not offered: see above",
                ));
                found = found.with_warning(format!("accounts cannot be suspended yet: {why}"));
            }
        }
    }
    found.sections = sections;
    Ok(found)
}

fn is_encrypted(draft: &Draft) -> bool {
    draft.text(TLS) == Some("yes") || draft.text(URL).is_some_and(|url| url.starts_with("ldaps:"))
}

/// Why a lock would not be effective, as `check` determines it, for the settings to be written.
async fn lock_fault(draft: &Draft, sections: &[Section], schema: &Schema) -> Result<Option<String>, Error> {
    if schema.is_known() && !schema.has(LOCKED_TIME) {
        return Ok(Some(format!(
            "the server does not know {LOCKED_TIME}; load the overlay ppolicy, or choose another method"
        )));
    }
    let mut target = Map::new();
    for section in sections {
        let settings = section.settings.iter().filter(|setting| !setting.value.is_null());
        let table: Map<String, Value> = settings.map(|one| (one.key.clone(), one.value.clone())).collect();
        match section.table.as_str() {
            "" => target.extend(table),
            name if section.is_one_of_several => {
                let list = target.entry(name).or_insert_with(|| json!([]));
                list.as_array_mut().into_iter().for_each(|list| list.push(Value::Object(table.clone())));
            }
            name => drop(target.insert(name.to_owned(), table.into())),
        }
    }
    let settings = settings(draft, target.clone())?;
    let setup = draft.setup_with(target);
    let directory = Directory::new(&settings, setup).map_err(|error| wrong(&error))?;
    let lease = directory.lease(About::Reading("the password policy")).await?;
    let fault = lock::examine(&directory, &lease).await;
    let fault = fault.map_err(|failure| directory.report(failure, About::Reading("the password policy")));
    drop(lease);
    directory.pool.close();
    fault
}
